/** Places in a text, and changes to it. */

/** A part of a file's text, in UTF-16 code units as JavaScript counts them. */
export interface Range {
  offset: number;
  length: number;
}

export interface Edit extends Range {
  content: string;
}

/** The opening bracket of an object: where to point when something is missing in it. */
export function openingOf(object: Range): Range {
  return { offset: object.offset, length: 1 };
}

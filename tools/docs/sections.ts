/** Puts sections between their marks in a document. @throws {Error} when it has no such marks */
export function withSections(document: string, what: string, sections: readonly string[]): string {
  const [begin, end] = [`<!-- ${what}: written by ./dev docs -->`, `<!-- end of ${what} -->`];
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`no ${begin} … ${end} in the document`);
  return document.slice(0, from) + [begin, "", ...sections].join("\n") + "\n" + document.slice(to);
}

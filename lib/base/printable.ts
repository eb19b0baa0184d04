/**
 * The one escaper for what people look at. Frameworks, plugins and files choose text that must
 * reach a terminal as what it is: a control character could move the cursor, a bidirectional or
 * zero-width one could show another text than the one that is there.
 */

/**
 * Text for a terminal: what can't be seen as itself is written as `\u` and four hex digits. That is C0,
 * DEL and C1 (Cc), bidirectional and zero-width characters and tags (Cf), fillers and variation selectors
 * (Default_Ignorable_Code_Point), the two line separators (Zl, Zp), and halves of surrogate pairs (Cs); a
 * tab and a line feed are text.
 */
export function plain(text: string): string {
  if (!/[^\t\n -~]/.test(text)) return text;
  // Not beside the function: to look the classes up takes most of a millisecond, at each start.
  return text.replaceAll(
    /(?![\t\n])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu,
    escaped,
  );
}

/** Text for a terminal that must stay on its line. */
export function plainLine(text: string): string {
  return plain(text.replaceAll(/\s*\n\s*/g, "; "));
}

/**
 * JSON that is safe to show too: the same characters are `\u` escapes in its strings, where they
 * mean what they are to whoever parses it.
 *
 * @param indent spaces per level; 0 for one line
 */
export function jsonText(value: unknown, indent = 0): string {
  // Between strings JSON has ASCII only, and line feeds and tabs inside of them are escaped by now.
  return plain(JSON.stringify(value, null, indent));
}

/** JSON has no escape beyond four digits: a character outside of the BMP is two of them. */
function escaped(character: string): string {
  return Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`,
  ).join("");
}

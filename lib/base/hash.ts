/** Names that follow from longer ones. */

/** The first digits of a SHA-512, in hexadecimal. */
export async function hashOf(text: string, digits: number): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-512", new TextEncoder().encode(text));
  return new Uint8Array(hash).toHex().slice(0, digits);
}

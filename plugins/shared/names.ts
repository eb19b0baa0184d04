/** Names of chains and rules as the reference makes them of a network's and a container's (pkg/utils). */

/** The first digits of a SHA-512, in hexadecimal. */
export async function hashOf(text: string, digits: number): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-512", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash, 0, Math.ceil(digits / 2)), hex).join("").slice(0, digits);
}

const hex = (byte: number) => byte.toString(16).padStart(2, "0");

/** Longest name of a chain that iptables takes. */
const CHAIN_LENGTH = 28;

/** `CNI-`, a prefix and as much of the hash as fits. */
export async function chainName(
  network: string,
  containerId: string,
  prefix = "",
): Promise<string> {
  const start = `CNI-${prefix}`;
  return start + await hashOf(network + containerId, CHAIN_LENGTH - start.length);
}

/** The comment of the rules of a container: both names hold letters, digits and _.- only. */
export function ruleComment(network: string, containerId: string): string {
  return `name: "${network}" id: "${containerId}"`;
}

/** What causes are about, as values. */

/** A rule of a packet filter; `handle` is absent for the policy of a chain. */
export interface RuleRef {
  /** The program that keeps it: `iptables`, `nft`, `ebtables`, `iptables-legacy`, … */
  program: string;
  family: string;
  table: string;
  chain: string;
  handle?: string;
  /** As its own program writes it. */
  text: string;
}

/** What a cause is about. Its code says which of them it has (words.ts). */
export interface Values {
  /** Whose network; absent for what concerns the agent alone. */
  container?: string;
  network?: string;
  family?: 4 | 6;
  device?: string;
  /** Another device, container or address that has a part in it. */
  other?: string;
  address?: string;
  /** What it should be. */
  wanted?: string;
  gateway?: string;
  mac?: string;
  /** Of TCP or UDP, with its protocol: `8080/tcp`. */
  port?: string;
  /** A setting of the kernel, and its value. */
  setting?: string;
  value?: string;
  /** A route or a policy rule, as `ip` writes it. */
  route?: string;
  rule?: RuleRef;
  file?: string;
  bytes?: number;
  mtu?: number;
  /** Why, or what of several: the word that an errno, a state or a program has for it. */
  why?: string;
}

/** What shows a cause. */
export type Proof =
  | { rule: RuleRef; verdict: string }
  | { drop: string; device: string; location?: string }
  | { setting: string; value: string }
  | { device: string; flags: readonly string[]; state?: string }
  | { asked: string; on: string; answers: readonly string[] }
  /** What a reader found, in words that are read by people alone. */
  | string;

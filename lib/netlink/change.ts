import { NLM_F_CREATE, NLM_F_EXCL } from "./message.ts";

/**
 * A request that changes something, as a value: written by the files of this folder that know an
 * object (links, addresses, routes, …), sent by `Netlink.change`.
 */
export interface Change {
  /** RTM_NEWLINK and the like (linux/rtnetlink.h). */
  type: number;
  /** NLM_F_CREATE and the like (linux/netlink.h). */
  flags: number;
  /** The header of its kind of message, then attributes. */
  parts: readonly Uint8Array[];
  /** The change as an operator would say it, for the error. */
  what: string;
  /** By which of its errors the kernel says that it is so already, such as `ENOENT`. */
  unless?: string;
}

/** A change of what is there. */
export function changing(type: number, what: string, parts: readonly Uint8Array[]): Change {
  return { type, flags: 0, parts, what };
}

/** What makes something anew. The kernel's `EEXIST`: there is such a one. */
export function making(type: number, what: string, parts: readonly Uint8Array[]): Change {
  return { type, flags: NLM_F_CREATE | NLM_F_EXCL, parts, what };
}

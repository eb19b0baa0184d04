/** Sets of addresses that rules ask, of ipset and of nf_tables: who is in them. */
import { isObject } from "../../base/json.ts";
import { programOutput } from "./programs.ts";

export interface Membership {
  set: string;
  /** The command that takes it out. */
  remove: string[];
}

/** The addresses and networks that sets of the agent name. */
export async function namedAddresses(): Promise<ReadonlyMap<string, readonly Membership[]>> {
  const [ipset, nft] = await Promise.all([
    programOutput(undefined, "ipset", ["save"]),
    programOutput(undefined, "nft", ["-j", "list", "sets"]),
  ]);
  const found = [...membersOf(ipset ?? ""), ...elementsOf(nft ?? "")];
  const grouped = Map.groupBy(found, ([address]) => address);
  return new Map([...grouped].map(([address, all]) => [address, all.map(([, one]) => one)]));
}

type Member = [address: string, membership: Membership];

const PLAIN = /^[0-9a-f.:]+(?:\/\d+)?$/;

/** `add ban 203.0.113.9 timeout 300`, as `ipset save` prints it. */
export function membersOf(text: string): Member[] {
  return text.split("\n").flatMap((line): Member[] => {
    const [word, set, address] = line.split(" ");
    return word === "add" && PLAIN.test(address ?? "")
      ? [[address!, { set: set!, remove: ["ipset", "del", set!, address!] }]]
      : [];
  });
}

/** The elements of `nft -j list sets`: an address or a network, or one with a timeout or a counter. */
export function elementsOf(text: string): Member[] {
  const parsed = text === "" ? {} : JSON.parse(text);
  const all = Array.isArray(parsed.nftables) ? parsed.nftables : [];
  return all.flatMap(({ set }: { set?: unknown }): Member[] => {
    if (!isObject(set) || !Array.isArray(set.elem)) return [];
    const { family, table, name } = set as Record<string, string>;
    return set.elem.map((one) => isObject(one) && isObject(one.elem) ? one.elem.val : one)
      .map((one) =>
        isObject(one) && isObject(one.prefix) ? `${one.prefix.addr}/${one.prefix.len}` : one
      )
      .filter((one): one is string => typeof one === "string" && PLAIN.test(one))
      .map((address) => [address, {
        set: name!,
        remove: ["nft", "delete", "element", family!, table!, name!, `{ ${address} }`],
      }]);
  });
}

/** Where a key belongs that stands in a place where nobody reads it. */
import type { Fields, Schema } from "../schema.ts";
import { lookup } from "../../base/json.ts";
import { nearest } from "../../base/nearest.ts";
import { IPAM } from "./ipam.ts";
import { MAIN } from "./main.ts";
import { META } from "./meta.ts";
import { THIRD_PARTY } from "./third_party.ts";

/** Keys that people know from other programs, with the keys of plugins that mean the same. */
const OTHER_WORDS: Readonly<Record<string, readonly string[]>> = {
  cidr: ["subnet"],
  network: ["subnet"],
  dev: ["device", "master"],
  nic: ["device", "master"],
  interface: ["device", "master"],
  parent: ["master"],
  hairpin: ["hairpinMode"],
  masquerade: ["ipMasq"],
  gw: ["gateway"],
  gateway: ["gw"],
  to: ["dst"],
  via: ["gw"],
  destination: ["dst"],
  ip: ["address"],
  addr: ["address"],
  vlan: ["vlanId"],
  nameserver: ["nameservers"],
  rangebegin: ["rangeStart"],
  rangefirst: ["rangeStart"],
  rangelast: ["rangeEnd"],
  rangestop: ["rangeEnd"],
};

/** What people put behind a word to say what it is. */
const SUFFIX = /(interface|iface|device|dev|link|name|address|addr|mode|enabled?|list|id)$/;

const STANDARD: Readonly<Record<string, Schema>> = { ...MAIN, ...META };

/** The key of `known` that a key was most likely meant to be. */
export function meant(name: string, known: Fields): string | undefined {
  const names = Object.keys(known);
  const plain = bare(name);
  const same = names.find((one) => bare(one) === plain);
  if (same) return same;
  const other = lookup(OTHER_WORDS, plain)?.find((one) => Object.hasOwn(known, one));
  if (other) return other;
  if (name.length > 40) return undefined;
  const near = nearest(name, names);
  if (near) return near;
  const nearBare = nearest(plain, names.map(bare));
  if (nearBare) return names.find((one) => bare(one) === nearBare);
  // Half of a word is still the word: `hairpin`, `bridgeName`.
  return plain.length < 5 ? undefined : names.find((one) => {
    const known = bare(one);
    return (known.startsWith(plain) && plain.length * 2 > known.length) ||
      (plain.startsWith(known) && known.length * 2 >= plain.length);
  }) ?? names.find((one) => bare(one) === plain.replace(SUFFIX, ""));
}

/** Without what spellings differ in: `ip-masq`, `ip_masq`, `ipMasq`. */
function bare(name: string): string {
  return name.replaceAll(/[-_ ]/g, "").toLowerCase();
}

/** Says in words where a misplaced key belongs; `place` is where it stands. */
export function homeOf(name: string, place: "plugin" | "ipam"): string | undefined {
  const ipam = Object.entries(
    place === "ipam" ? { ...IPAM, whereabouts: THIRD_PARTY.whereabouts! } : IPAM,
  )
    .filter(([, { fields }]) => Object.hasOwn(fields, name));
  if (place === "plugin" && ipam.length > 0 && name !== "type" && name !== "name") {
    return 'into "ipam"';
  }
  const types = Object.entries(STANDARD).filter(([, { fields }]) => Object.hasOwn(fields, name))
    .map(([type]) => type);
  if (place === "ipam") {
    if (name === "dns" || name === "mtu" || name === "capabilities" || name === "args") {
      return 'beside "ipam"';
    }
    if (ipam.length > 0) return `to the IPAM plugin ${ipam.map(([type]) => type).join(" or ")}`;
  }
  if (types.length === 0) {
    return Object.hasOwn(META, name) && place === "plugin"
      ? "into a list of plugins, as a plugin of its own"
      : undefined;
  }
  return `to ${types.slice(0, 3).join(", ").replace(/, ([^,]*)$/, " and $1")}`;
}

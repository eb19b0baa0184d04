/** Grammars of strings in the configs: each says what is wrong, or nothing. */
import { isInterfaceName } from "../../cni/config.ts";
import { parseAddress, parsePrefix } from "../../base/prefix.ts";
import { chainProblem, isDevice, LONGEST_CHAIN } from "../../ports/mapping.ts";
import { checked, type Type } from "../schema.ts";
import { quote } from "../tree.ts";

/** An interface's name: the kernel takes at most 15 bytes. Empty is as good as absent. */
export const interfaceName: Type = checked((text) => text === "" ? undefined : badName(text));

/** The bridge's name, which has a default only where the key is absent. */
export const bridgeName: Type = checked((text) =>
  text === ""
    ? "the name is empty"
    : text === "lo"
    ? '"lo" is the loopback device, and no bridge'
    : badName(text)
);

function badName(text: string): string | undefined {
  if (isInterfaceName(text)) return undefined;
  const length = new TextEncoder().encode(text).length;
  return length > 15
    ? `${quote(text)} has ${length} characters, and an interface's name at most 15`
    : `${quote(text)} is no name of an interface (no slash, colon, percent sign or space)`;
}

/** A hardware address as Go's net.ParseMAC reads it: 6, 8 or 20 bytes. */
export const mac: Type = checked((text) => {
  if (text === "") return undefined;
  const isMac = [6, 8, 20].some((bytes) =>
    new RegExp(`^[0-9a-f]{2}([:-])([0-9a-f]{2}\\1){${bytes - 2}}[0-9a-f]{2}$`, "i").test(text) ||
    new RegExp(`^([0-9a-f]{4}\\.){${bytes / 2 - 1}}[0-9a-f]{4}$`, "i").test(text)
  );
  if (!isMac) return `${quote(text)} is no hardware address, such as 02:42:ac:11:00:02`;
  const digits = text.replaceAll(/[:.-]/g, "");
  // The kernel's is_valid_ether_addr(): the lowest bit of the first byte is that of groups.
  if (digits.length === 12 && parseInt(digits.slice(0, 2), 16) % 2 === 1) {
    return `${quote(text)} is a multicast address, which no interface can have (the second digit ` +
      "must be even)";
  }
  return /^0+$/.test(digits)
    ? `${quote(text)} is no address that an interface can have`
    : undefined;
});

/** What whereabouts gives addresses from: 10.1.0.0/16, or 10.1.0.5-10.1.0.9/16. */
export const rangeOfAddresses: Type = checked((text) => {
  // Its author reads decimal numbers with zeros in front on purpose.
  const [first, last, ...more] = text.replaceAll(/\b0+(?=[0-9])/g, "").split("-");
  const isRange = last === undefined
    ? parsePrefix(first!) !== undefined
    : more.length === 0 && parseAddress(first!) !== undefined && parsePrefix(last) !== undefined;
  return isRange || text === ""
    ? undefined
    : `${quote(text)} is no range of addresses, such as 10.1.0.0/16`;
});

/** The port mapper's chain of the nat table, for one network alone. */
export const chain: Type = checked((text) => {
  switch (text === "" ? undefined : chainProblem(text)) {
    case "length":
      return `${quote(text)} has ${text.length} characters, and a chain at most ${LONGEST_CHAIN}`;
    case "reserved":
      return `${quote(text)} is a name of iptables' own, or of mesos-cni's (MESOS-CNI-…)`;
    case "characters":
      return `${quote(text)} is no chain's name: letters, digits and _ . -, no mark in front`;
  }
});

/** A device whose traffic the port mapper leaves alone. */
export const device: Type = checked((text) =>
  isDevice(text)
    ? undefined
    : `${quote(text)} is no device's name: at most 15 letters, digits, _ . @ -; + is any rest`
);

/** It is written into the container's resolv.conf, whose reader skips what it can't read. */
export const nameserver: Type = {
  kind: "string",
  is: (text) =>
    parseAddress(text.replace(/%.*$/, "")) ? undefined : `${quote(text)} is no IP address`,
  severity: "warning",
};

/** Servers of etcd, as Calico takes them. */
export const urls: Type = checked((text) => {
  const wrong = text.split(",").map((url) => url.trim())
    .find((url) => !/^(https?:\/\/[^\s/]+|unixs?:\/\/\S+)\/?$/.test(url));
  return wrong === undefined || text === ""
    ? undefined
    : `${quote(wrong)} is no URL of an etcd server, such as https://10.0.0.1:2379`;
});

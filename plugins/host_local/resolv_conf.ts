/** `resolvConf`: a file whose DNS settings go into the result (resolv.conf(5)). */
import type { Dns } from "../../lib/cni/result.ts";
import { messageOf } from "../../lib/base/error.ts";
import { readTextFile } from "../../lib/kernel/read_file.ts";
import { wrong } from "../../lib/cni/fields.ts";

/** @throws {CniError} when it can't be read */
export function readResolvConf(path: string): Dns {
  const dns: Dns = {};
  for (const line of read(path).split("\n")) {
    const [keyword, ...words] = line.trim().split(/\s+/);
    const [first] = words;
    if (first === undefined || keyword!.startsWith("#") || keyword!.startsWith(";")) continue;
    if (keyword === "nameserver") (dns.nameservers ??= []).push(first);
    else if (keyword === "domain") dns.domain = first;
    else if (keyword === "search") (dns.search ??= []).push(...words);
    else if (keyword === "options") (dns.options ??= []).push(...words);
  }
  return dns;
}

function read(path: string): string {
  try {
    return readTextFile(path); // a pipe would be waited for, by all who want an address there
  } catch (error) {
    throw wrong(`ipam.resolvConf: ${messageOf(error)}`);
  }
}

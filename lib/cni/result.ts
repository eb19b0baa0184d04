/**
 * Results of ADD in every version of the specification: read into one form, written in any.
 * Reading is liberal in what it ignores (unknown fields, null for absent) and strict in what it
 * takes: an address is an address.
 */
import { familyOf, familyOfCidr } from "../base/ip.ts";
import { CNI_CODES, CniError } from "./error.ts";
import { isObject, type JsonObject } from "../base/json.ts";
import { quote } from "../base/json.ts";
import { atLeast, DEFAULT_VERSION, type SpecVersion } from "./version.ts";

/**
 * The result of ADD in memory: the newest form (specification 1.1.0), whatever version it was
 * read from. Addresses are text with prefix length, as plugins print them.
 */
export interface Result {
  interfaces: Interface[];
  ips: IpConfig[];
  routes: Route[];
  dns: Dns;
}

export interface Interface {
  name: string;
  mac?: string;
  mtu?: number;
  /** Path of the namespace; absent for an interface of the host. */
  sandbox?: string;
  socketPath?: string;
  pciID?: string;
}

export interface IpConfig {
  /** CIDR notation, such as `192.168.0.2/16`. */
  address: string;
  gateway?: string;
  /** Index into `interfaces`; absent where the result's version has none. */
  interface?: number;
}

export interface Route {
  dst: string;
  gw?: string;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  scope?: number;
}

export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

/**
 * Reads a result of any version, by its shape: some plugins print no `cniVersion`, or not the
 * one they mean.
 *
 * @param where what the value is, for errors: a file, or the plugin that printed it
 * @throws {CniError} `undecodable`, naming the place
 */
export function readResult(value: unknown, where: string): Result {
  const result = at(value, where).required();
  const ips = result.list("ips").map(readIp);
  const routes = result.list("routes").map(readRoute);
  // Beside `ips` they say the same once more, for a stock Mesos agent.
  const isOld = result.value.ips === undefined || result.value.ips === null;
  for (const key of ["ip4", "ip6"] as const) {
    const old = isOld ? result.object(key) : undefined;
    if (!old) continue;
    ips.push(compact({ address: old.cidr("ip"), gateway: old.address("gateway") }));
    routes.push(...old.list("routes").map(readRoute));
  }
  const dns = result.object("dns");
  return {
    interfaces: result.list("interfaces").map(readInterface),
    ips,
    routes,
    dns: compact({
      nameservers: dns?.strings("nameservers"),
      domain: dns?.string("domain"),
      search: dns?.strings("search"),
      options: dns?.strings("options"),
    }),
  };
}

function readInterface(from: Reader): Interface {
  return compact({
    name: from.string("name") ?? from.fail("name", "a string of one line"),
    mac: from.string("mac"),
    mtu: from.count("mtu"),
    sandbox: from.string("sandbox"),
    socketPath: from.string("socketPath"),
    pciID: from.string("pciID"),
  });
}

function readIp(from: Reader): IpConfig {
  const index = from.integer("interface");
  return compact({
    address: from.cidr("address"),
    gateway: from.address("gateway"),
    // Plugins of the time of 0.3.0 wrote -1 for "none".
    interface: index !== undefined && index >= 0 ? index : undefined,
  });
}

function readRoute(from: Reader): Route {
  return compact({
    dst: from.cidr("dst"),
    gw: from.address("gw"),
    mtu: from.count("mtu"),
    advmss: from.count("advmss"),
    priority: from.count("priority"),
    table: from.count("table"),
    scope: from.count("scope"),
  });
}

/**
 * Writes a result in a version's form. What an older form has no place for is left out: before
 * 1.1.0 the MTU, socket, PCI and route attributes; before 0.3.0 the interfaces, and all but the
 * first address of each family.
 */
export function writeResult(result: Result, version: SpecVersion): JsonObject {
  const dns: JsonObject = { ...result.dns };
  if (!atLeast(version, "0.3.0")) return { cniVersion: version, ...writeOld(result), dns };
  const newest = atLeast(version, "1.1.0");
  return {
    cniVersion: version,
    interfaces: result.interfaces.map((one) => {
      const { name, mac, sandbox } = one;
      return newest ? { ...one } : compact({ name, mac, sandbox });
    }),
    ips: result.ips.map((ip) =>
      atLeast(version, "1.0.0") ? { ...ip } : { version: `${familyOfCidr(ip.address)}`, ...ip }
    ),
    routes: result.routes.map((route) => newest ? { ...route } : oldRoute(route)),
    dns,
  };
}

function writeOld(result: Result): JsonObject {
  const written: JsonObject = {};
  for (const family of [4, 6] as const) {
    const ip = result.ips.find(({ address }) => familyOfCidr(address) === family);
    if (!ip) continue;
    const routes = result.routes.filter(({ dst }) => familyOfCidr(dst) === family);
    written[`ip${family}`] = compact({
      ip: ip.address,
      gateway: ip.gateway,
      routes: routes.length > 0 ? routes.map(oldRoute) : undefined,
    });
  }
  return written;
}

/**
 * A result that a stock Mesos agent reads too: it looks at `ip4` and `ip6` alone, whatever the
 * version, and libcni ignores fields that it does not know. So both forms stand side by side.
 */
export function withOldForm(printed: JsonObject): JsonObject {
  if (!printed.ips) return printed;
  return { ...printed, ...writeOld(readResult(printed, "the result")) };
}

function oldRoute({ dst, gw }: Route): { dst: string; gw?: string } {
  return compact({ dst, gw });
}

/**
 * A result as plugins of another version of the specification expect it. One that already is of
 * that version stays as it was printed, with every field that we do not know.
 *
 * @throws {CniError} `undecodable`, naming the place
 */
export function convertResult(value: JsonObject, version: SpecVersion, where: string): JsonObject {
  const result = readResult(value, where);
  const stated = value.cniVersion || (value.ips ? undefined : DEFAULT_VERSION);
  return stated === version ? value : writeResult(result, version);
}

/** Without the members that are undefined: JSON has none, and neither do results read from it. */
function compact<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

const at = (value: unknown, where: string) => new Reader(value as JsonObject, where);

/** Takes members of an object and says where one is not what it must be. */
class Reader {
  constructor(readonly value: JsonObject, readonly where: string) {}

  required(): this {
    if (!isObject(this.value)) throw failure(this.where, "an object", this.value);
    return this;
  }

  fail(key: string, wanted: string): never {
    throw failure(`${this.where}: ${key}`, wanted, this.value[key]);
  }

  #take<T>(key: string, wanted: string, is: (value: unknown) => value is T): T | undefined {
    const value = this.value[key];
    if (value === undefined || value === null) return undefined;
    return is(value) ? value : this.fail(key, wanted);
  }

  /** An empty string is how plugins written in Go print an absent one. */
  string(key: string): string | undefined {
    return this.#take(key, "a string of one line", isLine) || undefined;
  }

  integer(key: string): number | undefined {
    return this.#take(key, "an integer", (value): value is number => Number.isSafeInteger(value));
  }

  count(key: string): number | undefined {
    const value = this.integer(key);
    return value !== undefined && value < 0 ? this.fail(key, "0 or more") : value;
  }

  strings(key: string): string[] | undefined {
    return this.#take(
      key,
      "a list of strings of one line",
      (value): value is string[] => Array.isArray(value) && value.every(isLine),
    );
  }

  cidr(key: string): string {
    const text = this.string(key) ?? "";
    return familyOfCidr(text) ? text : this.fail(key, "an address with prefix length (a.b.c.d/n)");
  }

  address(key: string): string | undefined {
    const text = this.string(key);
    return text === undefined || familyOf(text) ? text : this.fail(key, "an IP address");
  }

  object(key: string): Reader | undefined {
    const value = this.#take(key, "an object", isObject);
    return value && at(value, `${this.where}: ${key}`);
  }

  list(key: string): Reader[] {
    const values = this.#take(key, "a list", Array.isArray) ?? [];
    return values.map((value, index) => at(value, `${this.where}: ${key}[${index}]`).required());
  }
}

/** Text without control characters, as it is written into files such as resolv.conf. */
function isLine(value: unknown): value is string {
  return typeof value === "string" && !/\p{Cc}/u.test(value);
}

function failure(where: string, wanted: string, found: unknown): CniError {
  const state = found === undefined ? "is missing" : `is ${quote(found)}`;
  return new CniError(CNI_CODES.undecodable, `${where} ${state}; it must be ${wanted}`);
}

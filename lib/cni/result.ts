/**
 * Results of ADD in every version of the specification: read into one form, written in any.
 * Reading is liberal in what it ignores (unknown fields, null for absent) and strict in what it
 * takes: an address is an address.
 */
import { familyOf, familyOfCidr } from "../base/ip.ts";
import { CNI_CODES, CniError } from "./error.ts";
import { Fields } from "./fields.ts";
import { isObject, type JsonObject, quote } from "../base/json.ts";
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
  if (!isObject(value)) {
    throw new CniError(
      CNI_CODES.undecodable,
      `${where} is ${quote(value)}; it must be an object`,
    );
  }
  const result = new Fields(value, `${where}: `, CNI_CODES.undecodable);
  const ips = result.objects("ips").map(readIp);
  const routes = result.objects("routes").map(readRoute);
  for (const key of ["ip4", "ip6"] as const) {
    // Beside `ips` they say the same once more, for a stock Mesos agent.
    const old = result.has("ips") ? undefined : result.object(key);
    if (!old) continue;
    ips.push(compact({ address: cidr(old, "ip"), gateway: address(old, "gateway") }));
    routes.push(...old.objects("routes").map(readRoute));
  }
  const dns = result.object("dns") ?? new Fields({});
  return {
    interfaces: result.objects("interfaces").map(readInterface),
    ips,
    routes,
    dns: compact({
      nameservers: lines(dns, "nameservers"),
      domain: line(dns, "domain"),
      search: lines(dns, "search"),
      options: lines(dns, "options"),
    }),
  };
}

function readInterface(from: Fields): Interface {
  return compact({
    name: line(from, "name") ?? from.fail("name", ONE_LINE),
    mac: line(from, "mac"),
    mtu: count(from, "mtu"),
    sandbox: line(from, "sandbox"),
    socketPath: line(from, "socketPath"),
    pciID: line(from, "pciID"),
  });
}

function readIp(from: Fields): IpConfig {
  const index = from.integer("interface");
  return compact({
    address: cidr(from, "address"),
    gateway: address(from, "gateway"),
    // Plugins of the time of 0.3.0 wrote -1 for "none".
    interface: index !== undefined && index >= 0 ? index : undefined,
  });
}

function readRoute(from: Fields): Route {
  return compact({
    dst: cidr(from, "dst"),
    gw: address(from, "gw"),
    mtu: count(from, "mtu"),
    advmss: count(from, "advmss"),
    priority: count(from, "priority"),
    table: count(from, "table"),
    scope: count(from, "scope"),
  });
}

const ONE_LINE = "a string of one line";

/** Text without control characters, as it is written into files such as resolv.conf. */
const isLine = (text: string) =>
  Array.from(text).every((one) => one >= " " && (one < "\x7f" || one > "\x9f"));

/** An empty string is how plugins written in Go print an absent one. */
function line(from: Fields, key: string): string | undefined {
  const text = from.text(key) || undefined;
  return text === undefined || isLine(text) ? text : from.fail(key, ONE_LINE);
}

function lines(from: Fields, key: string): string[] | undefined {
  if (!from.has(key)) return undefined;
  const texts = from.texts(key);
  return texts.every(isLine) ? texts : from.fail(key, "a list of strings of one line");
}

function count(from: Fields, key: string): number | undefined {
  const value = from.integer(key);
  return value !== undefined && value < 0 ? from.fail(key, "0 or more") : value;
}

function cidr(from: Fields, key: string): string {
  const text = line(from, key) ?? "";
  return familyOfCidr(text) ? text : from.fail(key, "an address with prefix length (a.b.c.d/n)");
}

/** As it was printed. */
function address(from: Fields, key: string): string | undefined {
  const text = line(from, key);
  return text === undefined || familyOf(text) ? text : from.fail(key, "an IP address");
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

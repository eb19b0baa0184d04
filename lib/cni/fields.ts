/**
 * The fields of a plugin's config or result, read once into values that hold nothing bad. Lenient where
 * the reference's decoder (Go's encoding/json) is: names in any case, null for absent, unknown fields
 * left alone. Strict in what is taken: an address is an address.
 */
import { CNI_CODES, CniError } from "./error.ts";
import { isObject, type Json, type JsonObject, quote } from "../base/json.ts";
import { parseAddress, parsePrefix, type Prefix, showAddress } from "../base/prefix.ts";

export class Fields {
  /**
   * @param where the object's place in the config, such as `ipam`; empty for the config, and for another
   *   text what that is and a colon
   * @param code what is wrong with a field is said with
   */
  constructor(
    readonly value: JsonObject,
    readonly where = "",
    private readonly code: number = CNI_CODES.internal,
  ) {}

  /** Undefined for what is absent or null. */
  get(key: string): Json | undefined {
    if (Object.hasOwn(this.value, key)) return this.value[key] ?? undefined;
    const wanted = key.toLowerCase();
    const other = Object.keys(this.value).find((name) => name.toLowerCase() === wanted);
    return other === undefined ? undefined : this.value[other] ?? undefined;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  at(key: string): string {
    const name = key.includes(".") ? JSON.stringify(key) : key;
    return `${this.where}${/^$|: $/.test(this.where) ? "" : "."}${name}`;
  }

  /** @throws {CniError} */
  fail(key: string, wanted: string): never {
    return this.#refuse(this.at(key), this.get(key), wanted);
  }

  #refuse(place: string, found: Json | undefined, wanted: string): never {
    const state = found === undefined ? "is missing" : `is ${quote(found)}`;
    throw new CniError(this.code, `${place} ${state}; it must be ${wanted}`);
  }

  #take<T extends Json>(
    key: string,
    wanted: string,
    is: (value: Json) => value is T,
  ): T | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    return is(value) ? value : this.fail(key, wanted);
  }

  text(key: string): string | undefined {
    return this.#take(key, "a string", (value) => typeof value === "string");
  }

  /** False for what is absent. */
  flag(key: string): boolean {
    return this.#take(key, "true or false", (value) => typeof value === "boolean") ?? false;
  }

  integer(key: string): number | undefined {
    return this.#take(
      key,
      "a whole number",
      (value): value is number => Number.isSafeInteger(value),
    );
  }

  /** @throws {CniError} for what is outside of the bounds, which are inclusive */
  integerFrom(key: string, least: number, most: number): number | undefined {
    const value = this.integer(key);
    if (value === undefined || (value >= least && value <= most)) return value;
    return this.fail(key, `from ${least} to ${most}`);
  }

  object(key: string): Fields | undefined {
    const value = this.#take(key, "an object", isObject);
    return value && new Fields(value, this.at(key), this.code);
  }

  /** @throws {CniError} also where it is missing */
  required(key: string): Fields {
    return this.object(key) ?? this.fail(key, "an object");
  }

  list(key: string): Json[] {
    return this.#take(key, "a list", Array.isArray) ?? [];
  }

  objects(key: string): Fields[] {
    return this.list(key).map((value, i) => {
      const at = `${this.at(key)}[${i}]`;
      if (!isObject(value)) return this.#refuse(at, value, "an object");
      return new Fields(value, at, this.code);
    });
  }

  texts(key: string): string[] {
    return this.list(key).map((value, i) => {
      if (typeof value === "string") return value;
      return this.#refuse(`${this.at(key)}[${i}]`, value, "a string");
    });
  }

  /** An address in its usual spelling; an empty string counts as absent. */
  address(key: string): string | undefined {
    const text = this.text(key) || undefined;
    const address = text === undefined ? undefined : parseAddress(text);
    if (text !== undefined && !address) this.fail(key, "an IP address");
    return address && showAddress(address);
  }

  /** A network or an address with its prefix length, host bits as they are. */
  prefix(key: string): Prefix | undefined {
    const text = this.text(key);
    const prefix = text === undefined ? undefined : parsePrefix(text);
    return text === undefined || prefix ? prefix : this.fail(key, "in CIDR notation (a.b.c.d/n)");
  }
}

/** What the reference answers to a config it can't use: the library's own code. */
export function wrong(message: string): CniError {
  return new CniError(CNI_CODES.internal, message);
}

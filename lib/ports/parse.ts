/** Ports, protocols and host addresses as frameworks and runtimes write them. */
import { OperatorError } from "../base/error.ts";
import { type Protocol, PROTOCOLS } from "./mapping.ts";
import { quote } from "../base/json.ts";
import { canonicalAddress } from "../base/ip.ts";

/** @throws {OperatorError} `bad_mapping`, naming the place */
export function parsePort(value: unknown, at: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535) {
    return value;
  }
  throw wrong(at, "a port from 1 to 65535", value);
}

/** tcp when absent or empty; upper and lower case are the same. @throws {OperatorError} */
export function parseProtocol(value: unknown, at: string): Protocol {
  if (value === undefined || value === "") return "tcp";
  const name = typeof value === "string" ? value.toLowerCase() : undefined;
  const protocol = PROTOCOLS.find((one) => one === name);
  if (protocol) return protocol;
  throw wrong(at, PROTOCOLS.join(", "), value);
}

/** Absent or empty: every address. @throws {OperatorError} */
export function parseHostAddress(value: unknown, at: string): string | undefined {
  if (value === undefined || value === "") return undefined;
  try {
    if (typeof value === "string") return canonicalAddress(value);
  } catch {
    // Told below, with the place.
  }
  throw wrong(at, "an IP address of the host", value);
}

function wrong(at: string, wanted: string, found: unknown): OperatorError {
  const state = found === undefined ? "is missing" : `is ${quote(found)}`;
  return new OperatorError("bad_mapping", `${at} ${state}; it must be ${wanted}`);
}

/**
 * IPAM plugins: the fields of `ipam`. Facts from https://www.cni.dev/plugins/current/ipam/ and
 * from the configs that containernetworking/plugins 1.1 to 1.10 decode.
 */
import {
  any,
  boolean,
  type Fields,
  integer,
  list,
  object,
  type Schema,
  string,
} from "../schema.ts";
import { DNS, ROUTE } from "./common.ts";

const DOCS = "https://www.cni.dev/plugins/current/ipam/";

/** What addresses are is a matter of the address rules; here they are strings. */
const RANGE: Fields = { subnet: string, rangeStart: string, rangeEnd: string, gateway: string };

export const IPAM: Readonly<Record<string, Schema>> = {
  "host-local": {
    source: DOCS + "host-local/",
    kind: "ipam",
    complete: true,
    ipam: "own",
    fields: {
      ...RANGE,
      name: string,
      type: string,
      routes: list(object(ROUTE, ["dst"])),
      dataDir: string,
      resolvConf: string,
      ranges: list(list(object(RANGE))),
    },
  },
  static: {
    source: DOCS + "static/",
    kind: "ipam",
    complete: true,
    ipam: "own",
    fields: {
      name: string,
      type: string,
      routes: list(object(ROUTE, ["dst"])),
      addresses: list(object({ address: string, gateway: string, version: string }, ["address"])),
      dns: object(DNS),
    },
  },
  dhcp: {
    source: DOCS + "dhcp/",
    kind: "ipam",
    complete: true,
    ipam: "own",
    fields: {
      type: string,
      daemonSocketPath: string,
      provide: list(object({ option: any, value: string, fromArg: string })),
      request: list(object({ option: any, skipDefault: boolean })),
      priority: integer(0, 0xffffffff),
    },
  },
};

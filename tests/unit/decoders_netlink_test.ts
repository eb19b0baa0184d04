/**
 * What the kernel sends, and what a container chose of it: any bytes are read or refused with an
 * operator's error, and what we write ourselves is read as it was meant.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { OperatorError } from "../../lib/base/error.ts";
import fc from "fast-check";
import { addressBytes, addressText, canonicalAddress, networkBytes } from "../../lib/base/ip.ts";
import { decodeAddress } from "../../lib/netlink/address.ts";
import { addAddress } from "../../lib/netlink/address_changes.ts";
import { addPortVlan } from "../../lib/netlink/bridge_port.ts";
import { decodeForwarding, decodePort, decodePortVlans } from "../../lib/netlink/bridge_state.ts";
import { decodeLink } from "../../lib/netlink/link.ts";
import { addLink, type NewLink } from "../../lib/netlink/link_changes.ts";
import {
  attribute,
  Attributes,
  decodeMessages,
  eachAttribute,
  encodeMessage,
  type Message,
  nested,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
} from "../../lib/netlink/message.ts";
import { decodeNeighbour } from "../../lib/netlink/neighbour.ts";
import { decodeRoute, decodeRouteEntry, decodeRule } from "../../lib/netlink/route.ts";
import { addRoute } from "../../lib/netlink/route_changes.ts";
import { addSourceRule } from "../../lib/netlink/rule_changes.ts";
import { decodeListener } from "../../lib/netlink/sock_diag.ts";
import { addTokenBucket, decodeTokenBucket } from "../../lib/netlink/traffic_changes.ts";
import { decodeFlow } from "../../lib/nft/conntrack.ts";
import { listedRule } from "../../lib/nft/rules.ts";
import { decodeRule as decodeFirewallRule } from "../../lib/firewall/encode.ts";
import { addElements, decodeElements, type SetElement } from "../../lib/nft/sets.ts";
import { addRule } from "../../lib/nft/changes.ts";
import { commentMatch } from "../../lib/nft/compat.ts";
import { counter, verdict } from "../../lib/nft/expressions.ts";
import { concat } from "../../lib/base/bytes.ts";
import { commentIn } from "../../lib/nft/wire.ts";
import { bodyOf, forAll, hostileBody, mutated, readOrRefused } from "../harness/generated.ts";
import { NFT_TABLE, SETS } from "../../lib/firewall/port_table.ts";

type Written = { parts: readonly Uint8Array[] };
const message = (body: Uint8Array): Message => ({ type: 0, flags: 0, sequence: 0, body });

const LINK: NewLink = {
  name: "br0",
  kind: { kind: "bridge", vlanFiltering: true },
  mtu: 1500,
  alias: "a",
};
const CIDR = { bytes: addressBytes("10.0.0.2"), prefixLength: 24 };
const ROUTE = { destination: CIDR, link: 1, gateway: CIDR.bytes, source: CIDR.bytes };
/** Two next hops of 16 bytes, each struct rtnexthop and its gateway. */
const MULTIPATH = concat(
  [1, 2].map((link) =>
    concat([new Uint8Array([16, 0, 0, 0, link, 0, 0, 0]), attribute(5, CIDR.bytes)])
  ),
);
const BUCKET = { rate: 1n << 33n, limit: 1, buffer: 2 };
const PORTS4 = SETS.get("ports4")!;
const ELEMENT = { key: ["tcp", 80], value: ["10.0.0.2", 8080], comment: "container_id: a" };
const UDP_FLOW = [1, 2].map((way) =>
  nested(way, [
    nested(1, [attribute(1, addressBytes("10.0.0.1")), attribute(2, addressBytes("10.0.0.2"))]),
    nested(2, [attribute(1, new Uint8Array([17])), attribute(3, new Uint8Array([0, 53]))]),
  ])
);
const NAT = { family: "ip", name: "nat" } as const;
const RULE = addRule(NAT, "C", [commentMatch("a"), counter(), verdict("jump", "D")]);
const HANDLE = attribute(3, new Uint8Array(8));

/** Each decoder with the bytes of its message's fixed part, and what is valid of such messages. */
const PLACE = { family: 4, table: "nat", chain: "C" } as const;

const DECODERS: Readonly<
  Record<string, [fixed: number, decode: (message: Message) => unknown, ...valid: Written[]]>
> = {
  "addresses": [8, decodeAddress, addAddress(1, "eth0", CIDR)],
  "bridge ports": [16, decodePort],
  "bridge VLANs": [16, decodePortVlans, addPortVlan(1, 7, true)],
  "elements of nf_tables": [
    4,
    (message) => [...SETS.values()].map((set) => decodeElements(message, set)),
  ],
  "elements of a map": [
    4,
    (message) => decodeElements(message, PORTS4),
    ...addElements(NFT_TABLE, PORTS4, [ELEMENT]),
  ],
  "forwarding entries": [12, decodeForwarding],
  "links": [16, decodeLink, addLink(LINK)],
  "neighbours": [12, decodeNeighbour],
  "queueing disciplines": [20, ({ body }) => decodeTokenBucket(body), addTokenBucket(1, BUCKET)],
  "routes": [12, decodeRoute, addRoute(ROUTE)],
  "routes of several hops": [12, decodeRouteEntry, {
    parts: [new Uint8Array([2, ...new Uint8Array(11)]), attribute(9, MULTIPATH)],
  }],
  "routing rules": [12, decodeRule, addSourceRule({ source: CIDR, table: 300, priority: 1 })],
  "rules of nf_tables": [4, ({ body }) => {
    const rule = listedRule("C", new Attributes(body.subarray(4)));
    return [rule, decodeFirewallRule(PLACE, rule)];
  }, { parts: [...RULE.parts, HANDLE] }],
  "sockets": [72, (message) => [decodeListener(message, 2, 0), decodeListener(message, 10, 0)]],
  "tracked connections": [4, (message) => decodeFlow(message, 4), {
    parts: [new Uint8Array(4), ...UDP_FLOW],
  }],
};

Deno.test("messages and attributes are read as they were written", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  forAll(fc.array(fc.tuple(fc.nat(0x3fff), bytes), { maxLength: 6 }), (list) => {
    const parts = list.map(([type, value]) => attribute(type, value));
    const [message, ...more] = decodeMessages(encodeMessage(42, 5, 7, parts));
    assertEquals([message!.type, message!.flags, message!.sequence, more.length], [42, 5, 7, 0]);
    for (
      const read of [new Attributes(message!.body), new Attributes(nested(9, parts)).nested(9)]
    ) {
      for (const [type, value] of new Map(list)) {
        assertEquals(read.bytes(type)?.slice(), value.slice());
      }
    }
  });
});

Deno.test("where nothing is wanted of an answer, its end and what interrupted it are told all the same", () => {
  const rule = (flags: number) => encodeMessage(0xa06, flags, 1, [new Uint8Array(8)]);
  const end = [encodeMessage(NLMSG_DONE, 0, 1, [new Uint8Array(4)])];
  const told = (messages: Uint8Array[], isAny?: boolean) =>
    [...decodeMessages(concat(messages), isAny)].map(({ type, flags }) => [type, flags]);
  const answer = [rule(0), rule(NLM_F_DUMP_INTR), rule(0), ...end];
  assertEquals(told(answer, false), [[0xa06, NLM_F_DUMP_INTR], [NLMSG_DONE, 0]]);
  assertEquals(told(answer).length, 4);
});

Deno.test("of no bytes there are more messages or attributes than have room in them", () => {
  const count = (all: Iterable<unknown>, most: number) => {
    let found = 0;
    for (const _ of all) assert(++found <= most, "it reads without end");
  };
  forAll(hostileBody(16), (bytes) => {
    readOrRefused(() => count(decodeMessages(bytes), bytes.length / 16));
    readOrRefused(() => count(eachAttribute(bytes), bytes.length / 4));
  });
});

for (const [what, [fixed, decode, ...valid]] of Object.entries(DECODERS)) {
  Deno.test(`any bytes are read or refused: ${what}`, () => {
    const bodies = valid.map(bodyOf);
    for (const body of bodies) assert(decode(message(body)) !== undefined);
    forAll(hostileBody(fixed, bodies), (body) => void readOrRefused(() => decode(message(body))));
  });
}

Deno.test("any bytes are read or refused: user data", () => {
  forAll(
    mutated(fc.uint8Array({ minLength: 1, maxLength: 300 })),
    (bytes) => void commentIn(bytes),
  );
});

const OWN = { noNullPrototype: true };
const index = fc.integer({ min: 1, max: 0x7fffffff });
const name = fc.string({ unit: fc.constantFrom(..."abyz019_.-+é"), minLength: 1, maxLength: 15 });
const ip = fc.oneof(fc.ipV4(), fc.ipV6()).map(addressBytes);
const prefix = ip.chain((bytes) =>
  fc.record({
    bytes: fc.constant(bytes),
    prefixLength: fc.integer({ min: 1, max: bytes.length * 8 }),
  })
);

Deno.test("what we write is read as it was meant: links", () => {
  const mac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) =>
    Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":")
  );
  const kind = fc.constantFrom(
    { kind: "bridge", vlanFiltering: true },
    { kind: "vlan", id: 7 },
    { kind: "vrf", table: 9 },
    { kind: "dummy" },
  );
  const link = fc.record({
    name,
    kind,
    mtu: fc.nat(0xffffffff),
    mac,
    master: index,
    parent: index,
    alias: fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }).filter((text) =>
      !text.includes("\0")
    ),
    up: fc.boolean(),
  });
  forAll(link, (link) => {
    const read = decodeLink(message(bodyOf(addLink(link as Parameters<typeof addLink>[0]))));
    assertEquals(
      [read.name, read.kind, read.mtu, read.mac, read.master, read.peerIndex, read.alias],
      [link.name, link.kind.kind, link.mtu, link.mac, link.master, link.parent, link.alias],
    );
    assertEquals(read.flags.includes("UP"), link.up);
  });
});

Deno.test("what we write is read as it was meant: addresses, routes, routing rules", () => {
  forAll(fc.tuple(index, prefix), ([link, address]) => {
    const read = decodeAddress(message(bodyOf(addAddress(link, "eth0", address))))!;
    assertEquals(
      [read.link, read.address, read.prefixLength, read.family, read.peer],
      [
        link,
        addressText(address.bytes),
        address.prefixLength,
        address.bytes.length === 4 ? "inet" : "inet6",
        undefined,
      ],
    );
  });
  const table = fc.oneof(
    fc.integer({ min: 1, max: 252 }),
    fc.integer({ min: 256, max: 0xffffffff }),
  );
  const route = fc.record({
    destination: prefix,
    link: index,
    gateway: ip,
    source: ip,
    priority: index,
    table,
  });
  forAll(route, (route) => {
    const { bytes, prefixLength } = route.destination;
    const read = decodeRoute(message(bodyOf(addRoute(route))))!;
    assertEquals(
      [read.destination, read.link, read.gateway, read.source, read.metric, read.table],
      [
        `${addressText(bytes)}/${prefixLength}`,
        route.link,
        addressText(route.gateway),
        addressText(route.source),
        route.priority,
        `${route.table}`,
      ],
    );
  });
  forAll(fc.record({ source: prefix, table, priority: index }), (rule) => {
    const { bytes, prefixLength } = rule.source;
    const read = decodeRule(message(bodyOf(addSourceRule(rule))))!;
    assertEquals(
      [read.from, read.to, read.table, read.priority],
      [`${addressText(bytes)}/${prefixLength}`, "all", `${rule.table}`, rule.priority],
    );
  });
});

Deno.test("what we write is read as it was meant: token buckets, VLANs of ports", () => {
  const bucket = fc.record({ rate: fc.bigInt(1n, 1n << 63n), limit: index, buffer: index }, OWN);
  forAll(fc.tuple(index, bucket), ([link, bucket]) => {
    assertEquals(decodeTokenBucket(bodyOf(addTokenBucket(link, bucket))), { link, bucket });
  });
  forAll(fc.tuple(index, fc.integer({ min: 1, max: 4094 }), fc.boolean()), ([index, id, pvid]) => {
    const read = decodePortVlans(message(bodyOf(addPortVlan(index, id, pvid))));
    assertEquals(read, { index, vlans: [{ id, pvid }] });
  });
});

Deno.test("an address of a family that is neither IPv4 nor IPv6 is none, and hides no other", () => {
  // As the kernel tells of an endpoint id of MCTP, which a container may give its loopback.
  const body = bodyOf({
    parts: [new Uint8Array([45, 0, 0, 0, 1, 0, 0, 0]), attribute(2, new Uint8Array([8]))],
  });
  assertEquals(decodeAddress(message(body)), undefined);
});

Deno.test("a key that is shorter than those of its set is refused", () => {
  const short = nested(3, [
    nested(1, [nested(1, [attribute(1, new Uint8Array([6, 0, 0, 0, 0]))])]),
  ]);
  const body = bodyOf({ parts: [new Uint8Array(4), short] });
  assertThrows(() => decodeElements(message(body), PORTS4), OperatorError, "of 5 bytes, not 6");
});

const VALUES = {
  "meta l4proto": fc.constantFrom("tcp", "udp", "sctp"),
  "th dport": fc.integer({ min: 1, max: 65535 }),
  "ip saddr": fc.ipV4(),
  "ip daddr": fc.ipV4(),
  "ip6 saddr": fc.ipV6().map(canonicalAddress),
  "ip6 daddr": fc.ipV6().map(canonicalAddress),
  "iifname": fc.constantFrom("eth0", "lo", "abcdefghijklmno"),
} as const;
type Field = keyof typeof VALUES;

/** A network, or names that begin alike. */
function range(field: Field): fc.Arbitrary<unknown> {
  if (field === "iifname") return fc.constantFrom("eth0", "cali+");
  if (!field.startsWith("ip")) return VALUES[field];
  const bits = field.startsWith("ip6") ? 128 : 32;
  const address = VALUES[field] as fc.Arbitrary<string>;
  return fc.tuple(address, fc.integer({ min: 0, max: bits })).map(([text, length]) =>
    `${addressText(networkBytes(addressBytes(text), length))}/${length}`
  );
}

Deno.test("what we write is read as it was meant: elements, rules", () => {
  const comment = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 })
    .filter((text) => !text.includes("\0"));
  for (const set of SETS.values()) {
    const fields = (names: readonly Field[], values: (field: Field) => fc.Arbitrary<unknown>) =>
      fc.tuple(...names.map(values));
    const element = fc.record({
      key: fields(set.key, set.interval ? range : (field) => VALUES[field]),
      ...set.value ? { value: fields(set.value, (field) => VALUES[field]) } : {},
      comment,
    }, OWN) as unknown as fc.Arbitrary<SetElement>;
    forAll(element, (element) => {
      const [change] = addElements(NFT_TABLE, set, [element]);
      assertEquals(decodeElements(message(bodyOf(change!)), set), [element]);
    });
  }
  forAll(fc.tuple(comment, comment), ([comment, chain]) => {
    const jump = verdict("jump", chain);
    for (
      const { parts } of [
        addRule(NAT, "C", [jump], { comment }),
        addRule(NAT, "C", [commentMatch(comment), jump]),
      ]
    ) {
      const body = bodyOf({ parts: [...parts, HANDLE] });
      const rule = listedRule("C", new Attributes(body.subarray(4)));
      const { target } = decodeFirewallRule(PLACE, rule);
      assertEquals([rule.comment, rule.handle, target], [comment, "0", { jump: chain }]);
    }
  });
});

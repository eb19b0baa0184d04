/** What comes over the wire from a container, its neighbours and its servers: any bytes are read, or nobody's. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { addressBytes, addressText, canonicalAddress, isAddress } from "../../lib/base/ip.ts";
import { OperatorError } from "../../lib/base/error.ts";
import { decodeTrace, withPackets } from "../../lib/diagnose/observe/trace.ts";
import { ownerIn, request } from "../../lib/diagnose/packets/who_has.ts";
import { question, recordsIn, TYPE_A, TYPE_AAAA } from "../../lib/diagnose/packets/dns.ts";
import { failureText } from "../../lib/diagnose/failure.ts";
import { outcomeIn } from "../../lib/diagnose/packets/echo.ts";
import {
  ETH_P_ARP,
  ETH_P_IP,
  ETH_P_IPV6,
  ipPacket,
  readPacket,
} from "../../lib/diagnose/packets/frame.ts";
import { concat } from "../../lib/base/bytes.ts";
import { parseResolver } from "../../lib/facts/readers/resolver.ts";
import {
  bodyOf,
  damaged,
  forAll,
  hostileBody,
  mutated,
  readOrRefused,
} from "../harness/generated.ts";
import { attribute, nested } from "../../lib/netlink/message.ts";

const port = fc.integer({ min: 1, max: 65535 });
const addresses = fc.oneof(
  fc.tuple(fc.ipV4(), fc.ipV4()),
  fc.tuple(fc.ipV6(), fc.ipV6()),
).map(([a, b]) => [canonicalAddress(a), canonicalAddress(b)] as const);
const flow = fc.tuple(addresses, port, port, fc.constantFrom("tcp", "udp", "icmp")).map((
  [[source, destination], token, port, protocol],
) => ({ source, destination, token, port, protocol }));
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":")
);

/** An ICMP error about a packet, and so on. */
const packet = fc.letrec<{ any: Uint8Array; quoting: Uint8Array }>((tie) => ({
  any: fc.oneof({ maxDepth: 4 }, flow.map((flow) => ipPacket(flow)), tie("quoting")),
  quoting: fc.tuple(tie("any"), fc.constantFrom(3, 11, 12, 5)).map(([quoted, type]) => {
    const head = new Uint8Array(28);
    head.set([0x45]);
    head[9] = 1;
    head[20] = type;
    return concat([head, quoted]);
  }),
})).any;

const PROBE = {
  protocol: "tcp",
  source: "10.0.0.1",
  destination: "10.0.0.2",
  token: 7,
  port: 80,
} as const;

Deno.test("any bytes are a packet or none", () => {
  const types = [ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, 0];
  forAll(mutated(packet), (bytes) => {
    for (const type of types) readPacket(type, bytes);
    for (const id of [0, 1]) [true, false].forEach((isV6) => outcomeIn(bytes, isV6, id));
    ownerIn(bytes, "0.0.0.0", "0.0.0.0");
  });
});

Deno.test("an error about an echo is told by its type and its code", () => {
  const echo = { ...PROBE, protocol: "icmp" } as const;
  const says = (type: number, code: number) => {
    const head = new Uint8Array(28);
    head.set([0x45]);
    head[9] = 1;
    head.set([type, code], 20);
    const said = outcomeIn(concat([head, ipPacket(echo)]), false, PROBE.token);
    return said === undefined || said === "answered" ? said : failureText(said);
  };
  assertEquals(says(11, 0), "a hop answers: it was passed on too often, ICMP type 11 code 0");
  assertEquals(says(3, 13), "a hop answers: it is prohibited by a firewall, ICMP type 3 code 13");
  assertEquals(says(3, 99), "a hop answers: ICMP type 3 code 99");
});

Deno.test("a packet is read as it was written", () => {
  forAll(flow, (flow) => {
    const read = readPacket(flow.source.includes(":") ? ETH_P_IPV6 : ETH_P_IP, ipPacket(flow))!;
    const isIcmp = flow.protocol === "icmp";
    assertEquals(
      [read.protocol, read.source, read.destination, read.sourcePort, read.destinationPort],
      [flow.protocol, flow.source, flow.destination, flow.token, isIcmp ? flow.token : flow.port],
    );
  });
  forAll(fc.tuple(mac, fc.ipV4(), fc.ipV4()), ([mac, sender, target]) => {
    const asked = request(mac, sender, target);
    const read = readPacket(ETH_P_ARP, asked)!;
    assertEquals([read.protocol, read.source, read.target], ["arp request", sender, target]);
    assertEquals(ownerIn(asked, sender, target), undefined);
    asked[7] = 2;
    assertEquals(ownerIn(asked, sender, target), mac);
    // It answers somebody else's question.
    if (target !== "0.0.0.0") assertEquals(ownerIn(asked, sender, "0.0.0.0"), undefined);
  });
});

/** A server's answer to a question about a name, with these records. */
function answered(records: readonly { type: number; data: Uint8Array }[]): Uint8Array {
  const asked = question(7, "a.example", TYPE_A);
  const head = new DataView(asked.buffer);
  head.setUint16(6, records.length);
  return concat([
    asked,
    ...records.map(({ type, data }) =>
      // A pointer to the name, type, class, time to live, length.
      concat([new Uint8Array([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 9, 0, data.length]), data])
    ),
  ]);
}

const record = fc.oneof(
  fc.ipV4().map((text) => ({ type: TYPE_A, data: addressBytes(text) })),
  fc.ipV6().map((text) => ({ type: TYPE_AAAA, data: addressBytes(text) })),
  fc.uint8Array({ maxLength: 30 }).map((data) => ({ type: 5, data })),
);

const addressesIn = (message: Uint8Array) => recordsIn(message, TYPE_A, TYPE_AAAA).map(addressText);

Deno.test("the addresses of a DNS answer are read, as far as it goes and no further", () => {
  const records = fc.array(record, { maxLength: 4 });
  forAll(fc.tuple(records, fc.nat()), ([records, cut]) => {
    const message = answered(records);
    const whole = addressesIn(message);
    assertEquals(
      whole.map((text) => [...addressBytes(text)]),
      records.filter(({ type }) => type !== 5).map(({ data }) => [...data]),
    );
    const part = addressesIn(message.subarray(0, cut % message.length));
    assertEquals(part, whole.slice(0, part.length));
  });
  forAll(mutated(records.map(answered)), (message) => {
    assert(addressesIn(message).every(isAddress));
  });
});

Deno.test("any bytes are read or refused: what met a rule", () => {
  const about = ["10.0.0.1", "fd00::1"];
  const valid = bodyOf({
    parts: [
      new Uint8Array([2, 0, 0, 0]),
      attribute(1, new TextEncoder().encode("nat\0")),
      attribute(3, new Uint8Array(8)),
      attribute(4, new Uint8Array([0, 0, 0, 3])),
      nested(5, [attribute(1, new Uint8Array([255, 255, 255, 253]))]),
      attribute(6, new Uint8Array([0, 0, 0, 9])),
      attribute(7, new Uint8Array([...new Uint8Array(12), 8, 0])),
      attribute(8, ipPacket(PROBE).subarray(0, 20)),
      attribute(9, ipPacket(PROBE).subarray(20)),
    ],
  });
  const { met, packet } = decodeTrace(valid, about);
  assertEquals([met.verdict, met.table, packet?.source], ["jump", "nat", PROBE.source]);
  forAll(hostileBody(4, [valid]), (body) => void readOrRefused(() => decodeTrace(body, about)));
});

Deno.test("a packet that has the number of one that was dropped is told apart, and a translated one is not", () => {
  const rule = (verdict: "accept" | "drop", sourcePort?: number, more = {}) => ({
    met: {
      id: 7,
      family: "ip",
      table: "filter",
      chain: "FORWARD",
      kind: "policy",
      verdict,
    } as const,
    packet: sourcePort === undefined ? undefined : { ...PROBE, sourcePort, ...more },
  });
  const told = [
    rule("accept", 9001),
    rule("drop", 9001, { destination: "192.0.2.9" }),
    rule("accept", 9002),
    rule("drop"),
  ];
  assertEquals(
    withPackets(told as never, { first: 9000, last: 9010 }).map(({ packet }) =>
      `${packet?.sourcePort} ${packet?.destination}`
    ),
    [9001, 9001, 9002, 9002].map((port) => `${port} ${PROBE.destination}`),
  );
});

Deno.test("any resolv.conf, nsswitch.conf and hosts are read, with numbers that are numbers", () => {
  const valid = fc.constantFrom(
    "nameserver 192.0.2.1\nsearch a.example b\noptions ndots:5 timeout:2 attempts:3\n",
    "hosts: files [NOTFOUND=return] dns\n",
    "127.0.0.1 localhost # here\n::1 a b\n",
  );
  const words = [
    "options ndots:",
    "timeout:-1",
    "attempts:x",
    "nameserver",
    "hosts:",
    "[",
    "]",
    "#",
  ];
  const text = damaged(valid, words);
  forAll(fc.tuple(text, text, text), ([resolv, nsswitch, hosts]) => {
    const { ndots, timeout, attempts, servers } = parseResolver(resolv, nsswitch, hosts);
    assert([ndots, timeout, attempts].every((one) => Number.isSafeInteger(one) && one >= 0));
    assert(servers.length <= 3);
  });
  const read = parseResolver("options timeout:7 ndots:x\n", "hosts: files [a] dns\n", "::1 a\n");
  assertEquals([read.timeout, read.ndots, read.lookups], [7, 1, ["files", "dns"]]);
  assertEquals(read.hosts, [{ address: "::1", names: ["a"] }]);
});

Deno.test("brackets without end are read through once", () => {
  // What looked from each of them for the other end would be at it for minutes.
  const text = `hosts: ${"[".repeat(1 << 20)}`;
  assertEquals(parseResolver("", text, "").lookups?.length, 1);
});

Deno.test("a refusal is an operator's error, and what is none is not swallowed by these tests", () => {
  assertEquals(
    readOrRefused(() => {
      throw new OperatorError("x", "x");
    }),
    undefined,
  );
  for (const error of [new RangeError(), new TypeError()]) {
    let thrown;
    try {
      readOrRefused(() => {
        throw error;
      });
    } catch (other) {
      thrown = other;
    }
    assert(thrown === error);
  }
});

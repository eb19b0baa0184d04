/** Decoding of what the kernel sends, also when it is not what was expected. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { addressBytes, addressText } from "../../lib/base/ip.ts";
import { OperatorError } from "../../lib/base/error.ts";
import { decodeAddress } from "../../lib/netlink/address.ts";
import { decodeLink } from "../../lib/netlink/link.ts";
import {
  attribute,
  Attributes,
  decodeMessages,
  encodeMessage,
  nested,
} from "../../lib/netlink/message.ts";
import { decodeNeighbour } from "../../lib/netlink/neighbour.ts";
import { decodeRoute, decodeRule } from "../../lib/netlink/route.ts";
import { parseSockets } from "../../lib/netns/sockets.ts";

const bytes = fc.uint8Array({ maxLength: 300 });

Deno.test("messages and attributes are read as they were written", () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(0x3fff), bytes), { maxLength: 6 }), (list) => {
    const parts = list.map(([type, value]) => attribute(type, value));
    const [message, ...more] = decodeMessages(encodeMessage(42, 5, 7, parts));
    assertEquals([message!.type, message!.flags, message!.sequence, more.length], [42, 5, 7, 0]);
    const read = new Attributes(message!.body);
    const wanted = new Map(list);
    for (const [type, value] of wanted) assertEquals(read.bytes(type)?.slice(), value.slice());
    const inner = new Attributes(nested(9, parts)).nested(9);
    for (const [type, value] of wanted) assertEquals(inner.bytes(type)?.slice(), value.slice());
  }));
});

Deno.test("bytes that are no message end in an error, never in a loop or a wrong place", () => {
  const decoders = [decodeLink, decodeAddress, decodeRoute, decodeRule, decodeNeighbour];
  fc.assert(fc.property(bytes, (garbage) => {
    for (const decode of decoders) {
      try {
        decode({ type: 0, flags: 0, sequence: 0, body: garbage });
      } catch (error) {
        // RangeError: cut off; TypeError: an address of a length that none has.
        if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
      }
    }
    try {
      [...decodeMessages(garbage)];
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }));
});

Deno.test("addresses are the same as text and as bytes, and nothing else is one", () => {
  fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
    const canonical = addressText(addressBytes(text));
    assertEquals(addressText(addressBytes(canonical)), canonical);
  }));
  assertEquals(addressText(addressBytes("2001:DB8:0:0::1")), "2001:db8::1");
  for (const text of ["", "1.2.3", "1.2.3.4/8", "01.2.3.4", "::1%lo", "1.2.3.4\0", "x"]) {
    assertThrows(() => addressBytes(text), OperatorError);
  }
});

Deno.test("sockets are decoded from /proc/net/tcp and its kin", () => {
  const text =
    `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 12345 1 0 100 0
   1: 0200010A:8235 0271CB00:0050 01 00000010:00000000 00:00000000 00000000     0        0 12346 1 0 20 4
   broken
`;
  assertEquals(
    parseSockets(text, "tcp").map((one) => [
      one.localAddress,
      one.localPort,
      one.remoteAddress,
      one.remotePort,
      one.state,
      one.sendQueue,
      one.receiveQueue,
      one.inode,
    ]),
    [
      ["127.0.0.1", 8080, "0.0.0.0", 0, "LISTEN", 0, 2, 12345],
      ["10.1.0.2", 33333, "0.203.113.2", 80, "ESTABLISHED", 16, 0, 12346],
    ],
  );
  const six = `header
   0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 0 0 0 0 9 1`;
  assertEquals(
    parseSockets(six, "udp").map(({ localAddress, localPort, state }) => [
      localAddress,
      localPort,
      state,
    ]),
    [["::1", 53, "UNCONN"]],
  );
});

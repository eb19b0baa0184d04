/** Addresses, and the sockets that the kernel lists as text. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { addressBytes, addressText } from "../../lib/base/ip.ts";
import { OperatorError } from "../../lib/base/error.ts";
import { entryQuestion, routeQuestion } from "../../lib/netlink/route.ts";
import { parseSockets } from "../../lib/netlink/sockets.ts";

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

Deno.test("only of IPv4 a route's table is asked for: IPv6 tells it, and refuses the flag", () => {
  const flagsOf = ([header]: Uint8Array[]) => new DataView(header!.buffer).getUint32(8, true);
  const flags = (to: string) => [routeQuestion(to), entryQuestion(to)].map(flagsOf);
  assertEquals(flags("192.0.2.1"), [0x1000, 0x3000]);
  assertEquals(flags("2001:db8::1"), [0, 0x2000]);
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

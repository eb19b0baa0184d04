import { isIP } from "node:net";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { familyOf, familyOfCidr } from "../../lib/base/ip.ts";

/** Addresses, and texts that are one character away from an address. */
const nearlyAddress = fc.tuple(
  fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom("::", "::1", "1::", "::ffff:10.0.0.1")),
  fc.nat(40),
  fc.constantFrom("", ":", "::", ".", "0", "1", "f", "g", " ", "/", "-"),
  fc.nat(2),
).map(([address, index, inserted, removed]) =>
  address.slice(0, index) + inserted + address.slice(index + removed)
);

Deno.test("an address is what node's own parser takes for one, and nothing else", () => {
  fc.assert(
    fc.property(
      nearlyAddress,
      (text) => assertEquals(familyOf(text), isIP(text) || undefined, text),
    ),
    { numRuns: 3000 },
  );
});

Deno.test("a prefix has exactly one length, within its family and in plain digits", () => {
  for (const cidr of ["10.0.0.1/0", "10.0.0.1/32"]) assertEquals(familyOfCidr(cidr), 4, cidr);
  for (const cidr of ["::/0", "2001:db8::1/128"]) assertEquals(familyOfCidr(cidr), 6, cidr);
  const none = ["10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/08", "10.0.0.1/8/8", "::/129"];
  for (const cidr of [...none, "::/-1", "::/1e1", "/8", "", "10.0.0/8", "10.0.0.1 /8"]) {
    assertEquals(familyOfCidr(cidr), undefined, cidr);
  }
});

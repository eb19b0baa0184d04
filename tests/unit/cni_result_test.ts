import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CniError } from "../../lib/cni/error.ts";
import { convertResult, readResult, type Result, writeResult } from "../../lib/cni/result.ts";
import { atLeast, SPEC_VERSIONS } from "../../lib/cni/version.ts";

Deno.test("the result of a stock agent's checkpoint is read", () => {
  // As Mesos prints its protobuf: bare, without a version.
  const checkpoint = {
    ip4: { ip: "192.168.0.2/16", gateway: "192.168.0.1", routes: [{ dst: "0.0.0.0/0" }] },
    dns: { nameservers: ["192.168.0.1"] },
  };
  assertEquals(readResult(checkpoint, "network.info"), {
    interfaces: [],
    ips: [{ address: "192.168.0.2/16", gateway: "192.168.0.1" }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { nameservers: ["192.168.0.1"] },
  });
});

Deno.test("a result of 0.4.0 is read, its version members, nulls and unknown fields ignored", () => {
  const result = readResult({
    cniVersion: "0.4.0",
    interfaces: [
      { name: "mesos-cni0", mac: "aa:bb:cc:dd:ee:ff", extra: 1 },
      { name: "eth0", sandbox: "/run/netns/a", mac: "" },
    ],
    ips: [
      { version: "4", interface: 1, address: "10.0.0.2/24", gateway: "10.0.0.1" },
      { version: "6", interface: -1, address: "fd00::2/64" },
    ],
    routes: null,
    dns: {},
  }, "x");
  assertEquals(result, {
    interfaces: [
      { name: "mesos-cni0", mac: "aa:bb:cc:dd:ee:ff" },
      { name: "eth0", sandbox: "/run/netns/a" },
    ],
    ips: [
      { address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 1 },
      { address: "fd00::2/64" },
    ],
    routes: [],
    dns: {},
  });
});

Deno.test("what is wrong in a result is said with its place", () => {
  const places: [unknown, string][] = [
    [[], "r is []; it must be an object"],
    [null, "r is null; it must be an object"],
    [{ ips: {} }, "r: ips is {}; it must be a list"],
    [{ ips: [1] }, "r: ips[0] is 1; it must be an object"],
    [
      { ips: [{ address: "10.0.0.1" }] },
      'r: ips[0].address is "10.0.0.1"; it must be an address with prefix length (a.b.c.d/n)',
    ],
    [
      { ip4: { ip: "$(id)/8" } },
      'r: ip4.ip is "$(id)/8"; it must be an address with prefix length (a.b.c.d/n)',
    ],
    [
      { ips: [{ address: "10.0.0.1/8", gateway: "x" }] },
      'r: ips[0].gateway is "x"; it must be an IP address',
    ],
    [{ routes: [{ dst: "::/0", mtu: 1.5 }] }, "r: routes[0].mtu is 1.5; it must be a whole number"],
    [{ routes: [{ dst: "::/0", mtu: -1 }] }, "r: routes[0].mtu is -1; it must be 0 or more"],
    [{ interfaces: [{}] }, "r: interfaces[0].name is missing; it must be a string of one line"],
    [{ dns: { search: "a" } }, 'r: dns.search is "a"; it must be a list'],
    [
      { dns: { domain: "a\nnameserver 10.0.0.1" } },
      'r: dns.domain is "a\\nnameserver 10.0.0.1"; it must be a string of one line',
    ],
    [
      { dns: { nameservers: [1] } },
      "r: dns.nameservers[0] is 1; it must be a string",
    ],
  ];
  for (const [value, message] of places) {
    assertEquals(assertThrows(() => readResult(value, "r"), CniError).message, message);
  }
});

const newest: Result = {
  interfaces: [
    { name: "br0", mac: "aa:bb:cc:dd:ee:ff", mtu: 1400 },
    { name: "eth0", sandbox: "/run/netns/a", socketPath: "/s", pciID: "0000:00:1f.6" },
  ],
  ips: [
    { address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 1 },
    { address: "10.0.1.2/24", interface: 1 },
    { address: "fd00::2/64", gateway: "fd00::1", interface: 1 },
  ],
  routes: [
    {
      dst: "0.0.0.0/0",
      gw: "10.0.0.1",
      mtu: 1400,
      advmss: 1360,
      priority: 0,
      table: 100,
      scope: 0,
    },
    { dst: "::/0" },
  ],
  dns: { nameservers: ["10.0.0.1"], domain: "d", search: ["d"], options: ["ndots:2"] },
};

Deno.test("each older form keeps what it has a place for", () => {
  const { dns, ips } = newest;
  assertEquals<unknown>(writeResult(newest, "0.2.0"), {
    cniVersion: "0.2.0",
    ip4: {
      ip: "10.0.0.2/24",
      gateway: "10.0.0.1",
      routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1" }],
    },
    ip6: { ip: "fd00::2/64", gateway: "fd00::1", routes: [{ dst: "::/0" }] },
    dns,
  });
  const older = {
    interfaces: [
      { name: "br0", mac: "aa:bb:cc:dd:ee:ff" },
      { name: "eth0", sandbox: "/run/netns/a" },
    ],
    routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1" }, { dst: "::/0" }],
    dns,
  };
  assertEquals<unknown>(writeResult(newest, "0.3.1"), {
    cniVersion: "0.3.1",
    ...older,
    ips: [
      { version: "4", address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 1 },
      { version: "4", address: "10.0.1.2/24", interface: 1 },
      { version: "6", address: "fd00::2/64", gateway: "fd00::1", interface: 1 },
    ],
  });
  assertEquals<unknown>(writeResult(newest, "1.0.0"), { cniVersion: "1.0.0", ...older, ips });
  assertEquals<unknown>(writeResult(newest, "1.1.0"), { cniVersion: "1.1.0", ...newest });
});

Deno.test("a result of the wanted version stays as it was printed, any other is converted", () => {
  const own = { cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/8" }], "vendor.example": [1] };
  assertEquals(convertResult(own, "1.0.0", "r"), own);
  assertEquals(convertResult(own, "0.4.0", "r").ips, [{ version: "4", address: "10.0.0.2/8" }]);
  const bare = { ip4: { ip: "10.0.0.2/8" }, extra: true };
  assertEquals(convertResult(bare, "0.1.0", "r"), bare);
  assertEquals(convertResult(bare, "1.0.0", "r").ips, [{ address: "10.0.0.2/8" }]);
  assertThrows(() => convertResult({ cniVersion: "1.0.0", ips: [{}] }, "1.0.0", "r"), CniError);
});

const text = fc.string({ minLength: 1 });
const count = fc.nat();
const cidr4 = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([a, n]) => `${a}/${n}`);
const cidr6 = fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })).map(([a, n]) => `${a}/${n}`);
const cidr = fc.oneof(cidr4, cidr6);
const address = fc.oneof(fc.ipV4(), fc.ipV6());
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { maxLength: 4 });
const options = { noNullPrototype: true };
const anyResult: fc.Arbitrary<Result> = fc.record({
  interfaces: some(fc.record(
    { name: text, mac: text, mtu: count, sandbox: text, socketPath: text, pciID: text },
    { requiredKeys: ["name"], ...options },
  )),
  ips: some(fc.record(
    { address: cidr, gateway: address, interface: count },
    { requiredKeys: ["address"], ...options },
  )),
  routes: some(fc.record(
    {
      dst: cidr,
      gw: address,
      mtu: count,
      advmss: count,
      priority: count,
      table: count,
      scope: count,
    },
    { requiredKeys: ["dst"], ...options },
  )),
  dns: fc.record(
    { nameservers: some(text), domain: text, search: some(text), options: some(text) },
    { requiredKeys: [], ...options },
  ),
}, options);

Deno.test("any result survives being written and read as far as the version can hold it", () => {
  fc.assert(
    fc.property(anyResult, fc.constantFrom(...SPEC_VERSIONS), (result, version) => {
      const written = writeResult(result, version);
      const read = readResult(JSON.parse(JSON.stringify(written)), "r");
      if (version === "1.1.0") assertEquals(read, result);
      assertEquals(read.dns, result.dns);
      if (atLeast(version, "0.3.0")) {
        assertEquals(read.ips, result.ips);
        assertEquals(
          read.routes.map(({ dst, gw }) => [dst, gw]),
          result.routes.map(({ dst, gw }) => [dst, gw]),
        );
      }
      assertEquals(writeResult(read, version), written);
      // Up to any newer version and back, nothing more is lost.
      for (const newer of SPEC_VERSIONS.filter((one) => atLeast(one, version))) {
        assertEquals(writeResult(readResult(writeResult(read, newer), "r"), version), written);
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("no value whatever does anything but being read or refused", () => {
  const member = fc.constantFrom(
    "ips",
    "ip4",
    "ip6",
    "routes",
    "interfaces",
    "dns",
    "ip",
    "address",
  );
  const value = fc.dictionary(member, fc.jsonValue({ maxDepth: 3 }));
  fc.assert(fc.property(value, (anything) => {
    try {
      writeResult(readResult(anything, "r"), "0.2.0");
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
    }
  }));
});

/** Networks that may be together, and those that may not. */
import { assertEquals } from "@std/assert";
import { parseAddress, parsePrefix, showAddress, showNetwork } from "../../lib/base/prefix.ts";
import { lint } from "../../lib/lint/lint.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source } from "../../lib/lint/source.ts";

type Config = Record<string, unknown>;

const ipam = (fields: Config) => ({
  type: "host-local",
  routes: [{ dst: "0.0.0.0/0" }],
  ...fields,
});
const bridge = (name: string, bridge: string, addresses: Config, fields: Config = {}) => ({
  cniVersion: "1.0.0",
  name,
  type: "bridge",
  bridge,
  isGateway: true,
  ...fields,
  ipam: ipam(addresses),
});

/** `file code` of the findings of a directory with these configs. */
function together(...configs: Config[]): string[] {
  const sources = configs.map((config, i) =>
    new Source({
      path: `${config.directory ?? "net.d"}/${i}.conf`,
      content: new TextEncoder().encode(JSON.stringify({ ...config, directory: undefined })),
    })
  );
  return lint(sources, new Settings()).filter((found) => found.code.startsWith("CNI3"))
    .map((found) => `${found.source.path} ${found.code} ${found.severity}`);
}

Deno.test("networks of different subnets on different bridges have nothing to do with each other", () => {
  assertEquals(
    together(
      bridge("a", "a0", { subnet: "10.1.0.0/16" }),
      bridge("b", "b0", { subnet: "10.2.0.0/16" }),
      bridge("c", "c0", { subnet: "fd00:1::/64" }),
    ),
    [],
  );
});

Deno.test("two networks may share a bridge and a subnet if their ranges are disjoint", () => {
  const low = { subnet: "10.1.0.0/16", rangeStart: "10.1.0.10", rangeEnd: "10.1.0.99" };
  const high = { subnet: "10.1.0.0/16", rangeStart: "10.1.1.10", rangeEnd: "10.1.1.99" };
  assertEquals(together(bridge("a", "a0", low), bridge("b", "a0", high)), []);
  assertEquals(together(bridge("a", "a0", low), bridge("b", "a0", low)), [
    "net.d/1.conf CNI302 warning",
  ]);
  // On two bridges, the host has two routes to the one subnet.
  assertEquals(together(bridge("a", "a0", low), bridge("b", "b0", high)), [
    "net.d/1.conf CNI302 warning",
  ]);
});

Deno.test("a subnet inside a wide one is found behind others in between", () => {
  assertEquals(
    together(
      bridge("wide", "a0", { subnet: "10.0.0.0/8" }),
      bridge("one", "b0", { subnet: "10.1.0.0/16" }),
      bridge("two", "c0", { subnet: "10.200.0.0/16" }),
      bridge("none", "d0", { subnet: "172.16.0.0/16" }),
    ),
    ["net.d/1.conf CNI302 warning", "net.d/2.conf CNI302 warning"],
  );
});

Deno.test("a bridge gets one IPv4 address: by force is a warning, else an error", () => {
  const a = bridge("a", "a0", { subnet: "10.1.0.0/16" });
  assertEquals(together(a, bridge("b", "a0", { subnet: "10.2.0.0/16" })), [
    "net.d/1.conf CNI303 error",
  ]);
  assertEquals(
    together(a, bridge("b", "a0", { subnet: "10.2.0.0/16" }, { forceAddress: true })),
    ["net.d/1.conf CNI303 warning"],
  );
  assertEquals(together(a, bridge("b", "a0", { subnet: "10.2.0.0/16" }, { isGateway: false })), []);
  assertEquals(
    together(
      bridge("a", "a0", { ranges: [[{ subnet: "10.1.0.0/16" }], [{ subnet: "10.2.0.0/16" }]] }),
    ),
    ["net.d/0.conf CNI303 error"],
  );
  assertEquals(
    together(
      bridge("a", "a0", { ranges: [[{ subnet: "10.1.0.0/16" }], [{ subnet: "fd00:1::/64" }]] }),
    ),
    [],
  );
});

Deno.test("an agent knows one directory: the same names in two are no conflict", () => {
  const a = { ...bridge("a", "a0", { subnet: "10.1.0.0/16" }) };
  assertEquals(together({ ...a, directory: "one" }, { ...a, directory: "two" }), []);
  assertEquals(together(a, a), ["net.d/1.conf CNI301 warning", "net.d/1.conf CNI302 warning"]);
});

Deno.test("addresses are read as Go reads them", () => {
  for (
    const bad of [
      "",
      "1",
      "1.2.3",
      "01.2.3.4",
      "1.2.3.256",
      "0x1.2.3.4",
      "1.2.3.4/8",
      "fe80::1%eth0",
      "::g",
      " 1.2.3.4",
      "1.2.3.4 ",
    ]
  ) {
    assertEquals(parseAddress(bad), undefined, bad);
  }
  for (
    const bad of [
      "10.0.0.0",
      "10.0.0.0/",
      "10.0.0.0/33",
      "10.0.0.0/08",
      "10.0.0.0/-1",
      "::/129",
      "/8",
      "10.0.0.0/8/8",
    ]
  ) {
    assertEquals(parsePrefix(bad), undefined, bad);
  }
  assertEquals(parseAddress("::ffff:1.2.3.4"), parseAddress("1.2.3.4"));
  assertEquals(showAddress(parseAddress("FD00:0:0:0::1")!), "fd00::1");
  assertEquals(showNetwork(parsePrefix("10.1.2.3/20")!), "10.1.0.0/20");
  assertEquals(showNetwork(parsePrefix("fd00::1/0")!), "::/0");
});

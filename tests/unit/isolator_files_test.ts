import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { readResult, type Result } from "../../lib/cni/result.ts";
import { OperatorError } from "../../lib/base/error.ts";
import { defaultHostname, hostsFile, resolvConf } from "../../lib/isolator/network_files.ts";
import { parseContainerId } from "../../lib/mesos/container_id.ts";

function result(...addresses: string[]): Result {
  return readResult(
    { cniVersion: "1.0.0", ips: addresses.map((address) => ({ address })) },
    "test",
  );
}

Deno.test("hosts: the first addresses of the first network that has any", () => {
  const localhost = "127.0.0.1 localhost\n::1 localhost\n";
  assertEquals(hostsFile("web", []), localhost);
  assertEquals(hostsFile("web", [result()]), localhost);
  assertEquals(
    hostsFile("web", [result(), result("10.0.0.2/8", "10.0.0.3/8"), result("10.9.9.9/8")]),
    `${localhost}10.0.0.2 web\n`,
  );
  assertEquals(
    hostsFile("web", [result("fd00::2/64", "10.0.0.2/8")]),
    `${localhost}10.0.0.2 web\nfd00::2 web\n`,
  );
});

Deno.test("hostname: the container's own name, as far as the kernel takes it", () => {
  assertEquals(defaultHostname(parseContainerId("parent.child")), "child");
  assertEquals(defaultHostname(parseContainerId("x".repeat(200))), "x".repeat(64));
});

Deno.test("resolv.conf: nobody names a server, one does, the default fills in", () => {
  const none = { name: "a", dns: {} };
  const some = { name: "b", dns: { nameservers: ["192.0.2.1"], domain: "b.example" } };
  const defaults = {
    mesos: [
      { network_mode: "HOST", dns: { nameservers: ["192.0.2.66"] } },
      { network_mode: "CNI", dns: { nameservers: ["192.0.2.9"] } },
      {
        network_mode: "CNI",
        network_name: "a",
        dns: { nameservers: ["192.0.2.8"], options: ["debug"] },
      },
    ],
  };
  assertEquals(resolvConf([], defaults), undefined);
  assertEquals(resolvConf([none], {}), undefined);
  assertEquals(resolvConf([none, some], {}), "domain b.example\nnameserver 192.0.2.1\n");
  assertEquals(
    resolvConf([none, some], defaults),
    "domain b.example\noptions debug\nnameserver 192.0.2.8\nnameserver 192.0.2.1\n",
  );
  assertEquals(resolvConf([{ name: "c", dns: {} }], defaults), "nameserver 192.0.2.9\n");
});

Deno.test("resolv.conf: no value of a plugin becomes a line of its own", () => {
  const dns = fc.record({
    nameservers: fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
    domain: fc.string(),
    search: fc.array(fc.string(), { maxLength: 3 }),
    options: fc.array(fc.string(), { maxLength: 3 }),
  });
  const evil = fc.constantFrom("a\nnameserver 6.6.6.6", "a b", "", "#", "a;b", "\u2028x", "\r");
  const withEvil = fc.oneof(
    dns,
    evil.map((text) => ({ nameservers: [text], domain: text, search: [text], options: [text] })),
  );
  fc.assert(fc.property(withEvil, (dns) => {
    let text: string | undefined;
    try {
      text = resolvConf([{ name: "net", dns }], {});
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      return;
    }
    const lines = text!.trimEnd().split("\n").map((line) => line.split(" "));
    const values = (word: string) =>
      lines.filter(([first]) => first === word).flatMap(([, ...rest]) => rest);
    assertEquals(values("nameserver"), dns.nameservers);
    assertEquals(values("domain"), dns.domain === "" ? [] : [dns.domain]);
    assertEquals(values("search"), dns.search);
    assertEquals(values("options"), dns.options);
  }));
});

Deno.test("container ids: words of letters, digits, _ and -, joined by dots", () => {
  for (const id of ["a", "a.b.c", "5baff64c-d028-47ba-864e-a5ee679fc069", "A_1.b-2"]) {
    assertEquals(parseContainerId(id), id);
  }
  for (
    const id of [
      "",
      ".",
      "..",
      "a..b",
      ".a",
      "a.",
      "a/b",
      "../a",
      "-a",
      "a b",
      "a\n",
      "ä",
      "x".repeat(241),
    ]
  ) {
    assertThrows(() => parseContainerId(id), OperatorError, "is no container id");
  }
});

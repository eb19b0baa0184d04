/**
 * What frameworks and operators may write, at its worst: a value is refused, or it reaches
 * iptables, nft and the file system as exactly the value that it is.
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CniError } from "../../lib/cni/error.ts";
import { isContainerId, isInterfaceName } from "../../lib/cni/config.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import { commentOf, keyOf, type PortAttachment } from "../../lib/ports/mapping.ts";
import { ownRules, structure } from "../../lib/ports/iptables_rules.ts";
import { ownElements } from "../../lib/ports/nftables_elements.ts";
import { SETS } from "../../lib/firewall/port_table.ts";
import { type FirewallRule, ruleLine } from "../../lib/firewall/rule.ts";
import { readConfig } from "../../plugins/port_mapper/config.ts";
import { readConditions } from "../../plugins/portmap/conditions.ts";
import { Fields } from "../../lib/cni/fields.ts";
import { config, CORPUS, FIELDS } from "../harness/hostile.ts";

/** Attachments as ADD makes them of a config that is accepted. */
function attachmentOf(
  raw: JsonObject,
  containerId = "c1",
  ifName = "eth0",
): PortAttachment | undefined {
  try {
    const { name, placement, mappings } = readConfig(raw, "/usr/sbin");
    return {
      ...placement,
      mappings,
      containerId,
      network: name,
      ifName,
      endpoints: [
        { family: 4, address: "10.0.0.2", prefixLength: 24 },
        { family: 6, address: "fd00::2", prefixLength: 64 },
      ],
    };
  } catch (error) {
    assert(error instanceof CniError, `${error}`);
    assert(error.message.length < 400, "an error message as long as what it is about");
    assert(!/[\n\0]/.test(error.message), "an error message of several lines");
    return undefined;
  }
}

/** A rule as iptables has it, without its chain. */
function ruleText(rule: FirewallRule): string {
  return ruleLine(rule).slice(`-A ${rule.chain} `.length);
}

const ID = /"container_id: [A-Za-z0-9_.~-]{1,100}"/.source;
const CHAIN = /[A-Za-z0-9_][A-Za-z0-9_.-]{0,27}/.source;
const DEVICE = /[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}\+?/.source;
const PORT = /\d{1,5}/.source;
const ADDRESS = /[0-9a-f.:]+/.source;
/** All that a rule of a container can be. */
const RULE = new RegExp(
  `^(-d ${ADDRESS}/(32|128) )?((! )?-i ${DEVICE} )?(-s ${ADDRESS}/\\d+ -d ${ADDRESS}/(32|128) )?` +
    `-p (tcp|udp|sctp) -m (tcp|udp|sctp) --dport ${PORT} -m comment --comment ${ID} -j ` +
    `(RETURN|MASQUERADE|DNAT --to-destination (10\\.0\\.0\\.2|\\[fd00::2\\]):${PORT})$`,
);
/** All that a part of an element can be. */
const PART = new RegExp(`^(${DEVICE}|${ADDRESS}|tcp|udp|sctp|${PORT})$`);

function assertHarmless(attachment: PortAttachment): void {
  for (const rule of ownRules(attachment)) {
    assertMatch(rule.chain, new RegExp(`^${CHAIN}$`));
    assertMatch(ruleText(rule), RULE);
  }
  for (const wanted of structure(attachment)) {
    const { chain } = "add" in wanted ? wanted.add : wanted.addChain;
    assertMatch(chain, new RegExp(`^${CHAIN}$`));
  }
  const elements = ownElements(attachment);
  for (const { set, key, value = [], comment } of elements) {
    assertEquals(key.length, SETS.get(set)!.key.length);
    for (const part of [...key, ...value]) assertMatch(`${part}`, PART);
    assertMatch(`"${comment}"`, new RegExp(`^${ID}$`));
  }
  assertMatch(keyOf(attachment), /^[^/\0\n]{1,200}$/);
}

Deno.test("the corpus has at least 200 different values", () => {
  assert(new Set(CORPUS.map((value) => JSON.stringify(value))).size >= 200);
});

for (const [field, place] of Object.entries(FIELDS)) {
  Deno.test(`no value of the corpus gets out of its place: ${field}`, () => {
    let refused = 0;
    for (const value of CORPUS) {
      const attachment = attachmentOf(place(value));
      if (attachment) assertHarmless(attachment);
      else refused++;
    }
    // What is passed on without being looked at is the delegate's: labels, hostnames.
    if (field === "label" || field === "hostname") assertEquals(refused, 0);
    else if (field === "delegate type") assertEquals(refused, CORPUS.filter(isNoFileName).length);
    else assert(refused > CORPUS.length / 2, `only ${refused} were refused`);
  });
}

/** A delegate may have any name that a file has: it is executed, never given to a shell. */
function isNoFileName(value: unknown): boolean {
  return typeof value !== "string" || /^\.{0,2}$|[/\0]/.test(value);
}

Deno.test("a port mapper that is its own delegate, or its delegate's ipam, is refused", () => {
  const type = "mesos-cni-port-mapper";
  for (const delegate of [{ type }, { type: "bridge", ipam: { type } }]) {
    assertThrows(() => readConfig(config({ type, delegate }), "/usr/sbin"), Error, "other plugins");
  }
});

Deno.test("no value of the corpus gets out of its place: container id, interface", () => {
  for (const value of CORPUS) {
    if (typeof value !== "string") continue;
    if (isContainerId(value)) assertHarmless(attachmentOf(config({}), value)!);
    if (isInterfaceName(value)) assertHarmless(attachmentOf(config({}), "c1", value)!);
  }
});

Deno.test("nor does any other text, in any two fields at once", () => {
  const text = fc.oneof(fc.string({ unit: "binary", maxLength: 40 }), fc.constantFrom(...CORPUS));
  fc.assert(fc.property(text, text, fc.integer(), (device, protocol, port) => {
    const attachment = attachmentOf(config({
      excludeDevices: [device],
      args: {
        "org.apache.mesos": {
          network_info: { port_mappings: [{ host_port: port, container_port: 80, protocol }] },
        },
      },
    }));
    if (attachment) assertHarmless(attachment);
  }));
});

Deno.test("ids of any length have comments and file names of their own", () => {
  const ids = [100, 101, 150, 300].flatMap((n) => ["a".repeat(n), "a".repeat(n - 1) + "b"]);
  const owners = ids.map((containerId) => ({ containerId, network: "net", ifName: "eth0" }));
  assertEquals(new Set(ids.map(commentOf)).size, ids.length);
  assertEquals(new Set(owners.map(keyOf)).size, ids.length);
});

Deno.test("conditions of portmap are matches that say what they seem to, or refused", () => {
  const read = (key: string, words: readonly unknown[]) =>
    readConditions(new Fields({ [key]: words } as JsonObject), "iptables");
  const spelled = ["!", "-s", "10.1.2.3/8", "--dst", "10.0.0.1", "-i", "eth+"];
  assertEquals(read("conditionsV4", spelled)?.[4], {
    source: { address: "10.0.0.0", prefixLength: 8, not: true },
    destination: { address: "10.0.0.1", prefixLength: 32, not: false },
    inDevice: { is: "eth+", not: false },
  });
  const wrong: [family: 4 | 6, words: string[]][] = [
    [4, ["constructor", "10.0.0.1"]],
    [4, ["__proto__", "10.0.0.1"]],
    [4, ["-s", "::ffff:10.0.0.1/24"]],
    [6, ["-s", "::ffff:10.0.0.1"]],
    [6, ["-s", "10.0.0.1"]],
    [4, ["!", "-s", "0.0.0.0/0"]],
    [4, ["!", "!", "-s", "10.0.0.1"]],
    [4, ["-s", "10.0.0.1", "!"]],
    [4, ["-s", "10.0.0.1", "--source", "10.0.0.2"]],
    [4, ["-s", "10.0.0.1,10.0.0.2"]],
    [4, ["-s"]],
    [4, ["-j", "ACCEPT"]],
  ];
  for (const [family, words] of wrong) {
    assertThrows(() => read(`conditionsV${family}`, words), CniError, `conditionsV${family} is`);
  }
  for (const value of CORPUS) {
    for (const flag of ["-s", "-d", "-i"]) {
      let found;
      try {
        found = read("conditionsV4", [flag, value])?.[4] ?? {};
      } catch (error) {
        assert(error instanceof CniError, `${error}`);
        continue;
      }
      const place = { family: 4, table: "nat", chain: "c" } as const;
      const text = ruleText({ ...place, ...found, target: { verdict: "DROP" } });
      assertMatch(text, new RegExp(`^((-[sd] ${ADDRESS}/\\d+|-i ${DEVICE}) )?-j DROP$`));
    }
  }
});

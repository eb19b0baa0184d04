/**
 * What is on disk after a crash, and what frameworks, operators and plugins write: any text is read,
 * or refused as an operator is told; how deep it is nested makes no difference.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { Json, JsonObject } from "../../lib/base/json.ts";
import { isObject, parseJson } from "../../lib/base/json.ts";
import { parseNetwork, typesIn } from "../../lib/cni/config.ts";
import { convertResult, readResult, writeResult } from "../../lib/cni/result.ts";
import { SPEC_VERSIONS } from "../../lib/cni/version.ts";
import { readAttachment } from "../../lib/containers/checkpoint.ts";
import { Layout } from "../../lib/containers/layout.ts";
import { networkInfoOf } from "../../lib/containers/network_info.ts";
import { decodeRequest, type Request } from "../../lib/containers/request.ts";
import { parseContainerId } from "../../lib/mesos/container_id.ts";
import {
  parseContainerConfig,
  parseContainerDns,
  parseNetworkInfo,
  parseRecovery,
} from "../../lib/mesos/messages.ts";
import { type FirewallRule, ruleLine } from "../../lib/firewall/rule.ts";
import { SavedView } from "../../lib/firewall/saved.ts";
import { NETWORKS_ANNOTATION, parseState } from "../../lib/oci/bundle.ts";
import { keyOf } from "../../lib/ports/mapping.ts";
import { installedOf, type MappingRecord, records } from "../../lib/ports/record.ts";
import { damaged, forAll, readOrRefused } from "../harness/generated.ts";

const REQUEST: Request = {
  format: 1,
  mode: "own",
  debug: false,
  networks: [{ name: "net", ifName: "eth0", networkInfo: { name: "net" } }],
  pid: 7,
  startTime: 8,
  bootId: "b",
  agent: { pid: 1, mnt: 2, net: 3 },
  netns: 4,
  wires: [{
    network: "net",
    ifName: "eth0",
    index: 2,
    kind: "veth",
    host: { index: 3, name: "v" },
  }],
  pluginDirs: { bridge: "/usr/lib/cni" },
  prepared: "2030-01-01T00:00:00.000Z",
};

const RECORD: MappingRecord = {
  containerId: "a",
  network: "net",
  ifName: "eth0",
  backend: "iptables",
  chain: "C",
  excludeDevices: ["docker0"],
  snat: true,
  mappings: [{ protocol: "tcp", hostPort: 80, containerPort: 8080 }],
  endpoints: [],
  netns: "/run/netns/a",
  reserved: 1,
  maker: { pid: 1, mnt: 2, net: 3 },
  netnsInode: 7,
};
RECORD.earlier = { ...RECORD, endpoints: [{ family: 4, address: "10.0.0.2", prefixLength: 24 }] };
const KEY = keyOf(RECORD);

const NETWORK_INFO = {
  name: "net",
  ip_addresses: [{ protocol: "IPv4", ip_address: "10.0.0.9" }],
  labels: { labels: [{ key: "a", value: "b" }] },
  port_mappings: [{ host_port: 80, container_port: 8080, protocol: "tcp" }],
};
const CONFIG = {
  cniVersion: "1.0.0",
  name: "net",
  args: { "org.apache.mesos": { network_info: NETWORK_INFO } },
  plugins: [{
    type: "mesos-cni-port-mapper",
    capabilities: { portMappings: true },
    delegate: { type: "bridge", ipam: { type: "host-local", subnet: "10.0.0.0/24" } },
  }],
};
const RESULT = {
  cniVersion: "0.4.0",
  interfaces: [{ name: "eth0", mac: "aa:bb:cc:dd:ee:ff", sandbox: "/run/netns/a" }],
  ips: [{ version: "4", address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 0 }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1" }],
  dns: { nameservers: ["192.0.2.1"], search: ["a"] },
};
const STATE = {
  id: "a",
  pid: 7,
  bundle: "/b",
  annotations: { [NETWORKS_ANNOTATION]: JSON.stringify([NETWORK_INFO]) },
};
const DNS = { mesos: [{ network_mode: "CNI", dns: { nameservers: ["192.0.2.1"] } }] };
const CONTAINER = {
  container_info: { network_infos: [NETWORK_INFO], hostname: "h" },
  rootfs: "/r",
};
const RECOVERY = {
  states: [{ container_id: { value: "b", parent: { value: "a" } } }],
  orphans: ["c"],
};

/** What is read of a text that `parseJson` has taken. */
const ofJson = (read: (value: unknown) => unknown) => (text: string) => {
  let value;
  try {
    value = parseJson(text);
  } catch (error) {
    if (error instanceof SyntaxError) return;
    throw error;
  }
  read(value);
};

/** Each decoder, with a text that it reads and the words that mean something to it. */
const DECODERS: Readonly<Record<string, [valid: Json | object, read: (text: string) => unknown]>> =
  {
    "configs of networks": [CONFIG, (text) => typesIn(parseNetwork(text, "file").raw)],
    "annotations of OCI bundles": [[NETWORK_INFO], (text) => {
      const annotations = { [NETWORKS_ANNOTATION]: text };
      parseState({ ...STATE, annotations }, "input");
    }],
    "containers of Mesos": [CONTAINER, ofJson((value) => parseContainerConfig(value, "input"))],
    "default DNS": [DNS, ofJson((value) => parseContainerDns(value, "input"))],
    "network infos": [NETWORK_INFO, ofJson((value) => parseNetworkInfo(value, "input"))],
    "network infos of a checkpoint": [
      CONFIG,
      ofJson((value) => isObject(value) && networkInfoOf(value)),
    ],
    "recoveries": [RECOVERY, ofJson((value) => parseRecovery(value, "input"))],
    "requests": [REQUEST, (text) => {
      const request = decodeRequest(text);
      for (const { name, ifName } of request?.networks ?? []) parts(name, ifName);
      for (const { network, ifName } of request?.wires ?? []) parts(network, ifName);
    }],
    "results of plugins": [
      RESULT,
      ofJson((value) => {
        readResult(value, "plugin");
        for (const version of SPEC_VERSIONS) convertResult(value as JsonObject, version, "plugin");
      }),
    ],
    "states of OCI runtimes": [STATE, ofJson((value) => parseState(value, "input"))],
  };

function parts(...texts: unknown[]): void {
  assert(texts.every((text) => typeof text === "string"), `${texts}`);
}

/** As deep as fits, around what each of these reads. */
const DEEP = [
  "[",
  '{"parent":',
  '{"delegate":',
  '{"plugins":[',
  '{"earlier":',
  '{"value":"a","parent":',
]
  .flatMap((open) => [400, 20_000].map((depth) => open.repeat(depth)));
const deep = fc.constantFrom(
  ...DEEP.flatMap((text) => [text, `{"orphans":[${text}`, `{"ips":${text}`]),
)
  .map((text) => {
    const closing = { "[": "]", "{": "}" } as const;
    // Closed in the order of what is open, so that it is JSON.
    return text + "1" + [...text.replaceAll(/"[^"]*"/g, "")].reverse()
      .map((one) => closing[one as "["] ?? "").join("");
  });

for (const [what, [valid, read]] of Object.entries(DECODERS)) {
  Deno.test(`any text is read or refused: ${what}`, () => {
    const text = fc.constant(JSON.stringify(valid));
    read(JSON.stringify(valid));
    for (const text of eachReplaced(valid as JsonObject)) readOrRefused(() => read(text));
    const members = Object.keys(valid as object).map((key) => `"${key}":`);
    const words = [...members, "null", '{"toString":1}', '"__proto__":{}', "[]", "{}", "-1"];
    const anything = fc.oneof(
      damaged(text, words),
      fc.json({ maxDepth: 3 }),
      { weight: 3, arbitrary: replaced(valid as JsonObject) },
    );
    forAll(anything, (text) => void readOrRefused(() => read(text)));
  });
}

Deno.test("any text is read or refused, however deep it is", () => {
  for (const text of fc.sample(deep, 60)) {
    for (const [, read] of Object.values(DECODERS)) readOrRefused(() => read(text));
  }
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  parseJson(nested(500));
  assertThrows(() => parseJson(nested(501)), SyntaxError, "deeper than 500");
  // Brackets in a text are no depth, nor are those that are closed.
  parseJson(JSON.stringify(["[".repeat(2000), "\\".repeat(999) + '"' + "{".repeat(2000)]));
  parseJson(JSON.stringify(Array(2000).fill([{}])));
});

/** A value with each member, at any depth, replaced by each kind of JSON. */
function* eachReplaced(value: Json): Generator<string> {
  for (const place of membersOf(value).keys()) {
    for (const other of [null, 0, -1, 0.5, "", "x", true, [], {}, [null], [[]]]) {
      const copy = structuredClone(value);
      const [holder, key] = membersOf(copy)[place]!;
      (holder as JsonObject)[key] = other;
      yield JSON.stringify(copy);
    }
  }
}

/** A value with one member, at any depth, replaced by anything. */
function replaced(value: Json): fc.Arbitrary<string> {
  const other = fc.oneof(fc.constantFrom(null, 0, "", true, [], {}), fc.jsonValue({ maxDepth: 2 }));
  return fc.tuple(fc.nat(), other).map(([place, other]) => {
    const copy = structuredClone(value);
    const members = membersOf(copy);
    const [holder, key] = members[place % members.length]!;
    (holder as JsonObject)[key] = other as Json;
    return JSON.stringify(copy);
  });
}

function membersOf(value: Json): [holder: Json, key: string][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    [value, key] as [Json, string],
    ...membersOf(inner),
  ]);
}

Deno.test("any text is the record of a mapping, or none", () => {
  assertEquals(records.decode(JSON.stringify(RECORD), KEY), RECORD);
  const text = fc.oneof(
    damaged(fc.constant(JSON.stringify(RECORD)), ['"earlier":', "null", "[]", "[1]", "{}"]),
    replaced(RECORD as unknown as JsonObject),
    fc.tuple(fc.jsonValue({ maxDepth: 2 })).map(([earlier]) =>
      JSON.stringify({ ...RECORD, earlier })
    ),
  );
  forAll(text, (text) => {
    let record;
    try {
      record = records.decode(text, KEY);
    } catch {
      return; // readKey() moves it aside, whatever is wrong with it
    }
    const installed = installedOf(record);
    for (const one of [record, ...installed ? [installed] : []]) {
      parts(one.containerId, one.network, one.ifName, one.chain, one.netns);
      for (const { hostPort } of one.mappings) void hostPort;
      for (const { address } of one.endpoints) void address;
    }
  });
});

Deno.test("any text is a checkpoint: whole, torn, or still to come", () => {
  const base = Deno.makeTempDirSync();
  try {
    const layout = new Layout(base);
    const id = parseContainerId("a");
    const attachment = { network: "net", ifName: "eth0" };
    Deno.mkdirSync(layout.interface(id, "net", "eth0"), { recursive: true });
    const either = (valid: JsonObject) =>
      fc.oneof(
        fc.constant(JSON.stringify(valid)),
        damaged(fc.constant(JSON.stringify(valid)), ['"plugins":', "null"]),
        replaced(valid),
        deep,
      );
    forAll(
      fc.tuple(either(CONFIG as JsonObject), either(RESULT as JsonObject)),
      ([config, result]) => {
        Deno.writeTextFileSync(layout.config(id, "net"), config);
        Deno.writeTextFileSync(layout.result(id, "net", "eth0"), result);
        const { state, problem, plugins, portMappings } = readAttachment(layout, id, attachment);
        assertEquals(problem === undefined, state === "attached");
        assert(plugins.every(isObject));
        for (const { hostPort, containerPort } of portMappings) {
          assert([hostPort, containerPort].every((port) => typeof port === "number"));
        }
      },
    );
  } finally {
    Deno.removeSync(base, { recursive: true });
  }
});

const address = fc.ipV4();
const rule = fc.record({
  source: fc.option(fc.record({ address, prefixLength: fc.constant(32), not: fc.boolean() }), {
    nil: undefined,
  }),
  inDevice: fc.option(fc.record({ is: fc.constantFrom("eth0", "cali+"), not: fc.boolean() }), {
    nil: undefined,
  }),
  port: fc.record({
    protocol: fc.constantFrom("tcp", "udp", "sctp"),
    number: fc.integer({ min: 1, max: 65535 }),
  }),
  comment: fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter((text) =>
    !/[\n\r\0]/.test(text)
  ),
  target: fc.record({ dnat: fc.record({ address, port: fc.integer({ min: 1, max: 65535 }) }) }),
});

Deno.test("a rule that we write in iptables' words is read as it was meant", () => {
  forAll(rule, (rule) => {
    const place = { family: 4, table: "nat", chain: "C" } as const;
    const text = ruleLine({ ...place, ...rule } as FirewallRule);
    const [saved] = new SavedView(`*nat\n:C - [0:0]\n${text}\nCOMMIT\n`).rules(place);
    assertEquals([ruleLine(saved!), saved!.comment, saved!.unknown], [text, rule.comment, []]);
    assertEquals([saved!.source, saved!.inDevice], [rule.source, rule.inDevice]);
    assertEquals([saved!.port, saved!.target], [rule.port, rule.target]);
  });
});

Deno.test("whatever iptables prints is read", () => {
  const printed = fc.constant(
    '*nat\n:C - [0:0]\n-P OUTPUT ACCEPT\n-N C\n-A C -p tcp --dport 80 -m comment --comment "a b" ' +
      "-j DNAT --to-destination 10.0.0.2:80\nCOMMIT\n",
  );
  forAll(
    damaged(printed, ["-A C ", "-j", "!", "--comment", "-N constructor\n", "-A __proto__ "]),
    (text) => {
      const saved = new SavedView(text);
      const place = { family: 4, table: "nat", chain: "C" } as const;
      for (const rule of saved.rules(place)) assert(rule.id.startsWith("-A C"));
      assert(saved.withComment(place, ["a b"]).every(({ comment }) => comment === "a b"));
    },
  );
});

Deno.test("what is written of a result in any version is read again", () => {
  const read = readResult(RESULT, "plugin");
  for (const version of SPEC_VERSIONS) readResult(writeResult(read, version), "plugin");
});

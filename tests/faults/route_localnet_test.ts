/**
 * `route_localnet` goes off with the last mapping that needs it, wherever a call was killed: the port
 * mapper is, on its way into each system call that changes something outside of it.
 */
import { assert, assertEquals } from "@std/assert";
import { partOf } from "../harness/part.ts";
import { type Json, network, PortMapperAgent, STATE_DIR } from "../harness/port_mapper.ts";

/** Files (a record gets its name by renameat), netlink, and what is written below /proc/sys. */
const MAKING = ["renameat", "mkdir", "symlink", "sendto", "write"];
/** Of each of them every second, from the first or from the second on; CI does both. */
const TURNS = partOf([1, 2], 2);
/** More than any of the calls makes; that it ends is looked at. */
const MOST_STEPS = 200;
const BRIDGES = ["br1", "br2"];

/** In a list, behind a plugin that put the container on a bridge. */
function on(bridge: number): Json {
  return {
    ...network([8080], { snat: true, delegate: undefined, cniVersion: "1.1.0" }),
    prevResult: { cniVersion: "1.1.0", ips: [{ address: `10.${bridge}.0.2/24` }] },
  };
}

async function settings(agent: PortMapperAgent): Promise<string[]> {
  const files = BRIDGES.map((name) => `/proc/sys/net/ipv4/conf/${name}/route_localnet`);
  return (await agent.sandbox.ok(["cat", ...files])).trim().split("\n");
}

const SCENES: Record<string, {
  steps: readonly string[];
  before: (agent: PortMapperAgent) => Promise<unknown>;
  call: [command: string, config: Json];
}> = {
  "the restore of rules that were flushed": {
    steps: MAKING,
    before: async (agent) => {
      await agent.ok("ADD", "c1", on(1));
      await agent.sandbox.ok(["iptables", "-t", "nat", "-F"]);
    },
    call: ["GC", {
      ...on(1),
      "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
    }],
  },
  "an ADD again, on another bridge": {
    steps: [...MAKING, "unlink"],
    before: (agent) => agent.ok("ADD", "c1", on(1)),
    call: ["ADD", on(2)],
  },
  "DEL": {
    steps: ["unlink", "sendto", "write"],
    before: (agent) => agent.ok("ADD", "c1", on(1)),
    call: ["DEL", on(1)],
  },
};

for (
  const [name, { steps, before, call: [command, config] }] of partOf(Object.entries(SCENES), 3)
) {
  Deno.test(`route_localnet is off after ${name}, killed at each system call, and DEL`, async () => {
    await using agent = await PortMapperAgent.create();
    for (const [i, bridge] of BRIDGES.entries()) {
      await agent.sandbox.ok(["ip", "link", "add", bridge, "type", "bridge"]);
      await agent.sandbox.ok(["ip", "address", "add", `10.${i + 1}.0.1/24`, "dev", bridge]);
      await agent.sandbox.ok(["ip", "link", "set", bridge, "up"]);
    }
    await agent.container("c1");
    let wasOn = 0;
    for (
      const [step, first] of steps.flatMap((step) => TURNS.map((turn) => [step, turn] as const))
    ) {
      for (let when = first, code = 137; code !== 0; when += 2) {
        assert(when < MOST_STEPS, "the call never ends");
        await before(agent);
        ({ code } = await agent.sandbox.run([
          ...["strace", "-qq", "-o", "/dev/null", "-e", `trace=${step}`],
          ...["-e", `inject=${step}:signal=KILL:when=${when}`, agent.plugin],
        ], {
          clearEnv: true,
          env: agent.environment(command, "c1", command === "GC" ? { netns: null } : {}),
          stdin: JSON.stringify(config),
        }));
        assert(code !== 0 || when > 1, `${name} has no ${step} to be killed at`);
        if ((await settings(agent)).includes("1")) wasOn++;
        await agent.ok("DEL", "c1", config);
        const what = `${name}, killed at ${step} ${when}`;
        assertEquals(await settings(agent), ["0", "0"], what);
        assertEquals(await agent.leftovers(), [], what);
        const marks = await agent.sandbox.run(["find", `${STATE_DIR}/localnet`, "-type", "l"]);
        assertEquals(marks.stdout, "", what);
      }
    }
    assert(wasOn > 0, "the setting was on when calls were killed");
  });
}

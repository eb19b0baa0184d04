/**
 * The plugin killed at any moment of ADD or DEL, then DEL: nothing is left, and the next ADD works;
 * with each way to write rules, and with a delegate of the reference as with our own. 1,000 moments
 * with MESOS_CNI_TEST_SCALE=full.
 */
import { assertEquals } from "@std/assert";
import { CNI_PLUGINS } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import { network, PortMapperAgent, type Variant } from "../harness/port_mapper.ts";
import { SEED } from "../harness/commit.ts";
import { randomFrom } from "../harness/random.ts";
import { FULL } from "../harness/scale.ts";

const BACKENDS: readonly (readonly [name: string, backend: string, variant: Variant])[] = [
  ["iptables", "iptables", "nft"],
  ["iptables-legacy", "iptables", "legacy"],
  ["nftables", "nftables", "nft"],
];
const KINDS = BACKENDS.flatMap(([name, backend, variant]) => [
  { name: `${name}, the reference's bridge`, backend, variant, search: CNI_PLUGINS },
  { name: `${name}, our own bridge`, backend, variant, search: undefined },
]);
/** Of each kind. */
const MOMENTS = FULL ? 168 : 6;

for (const { name, backend, variant, search } of partOf(KINDS, 3)) {
  Deno.test(`${name}: killed at ${MOMENTS} random moments (seed ${SEED})`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    agent.search = search;
    const random = randomFrom(SEED);
    const config = network([8080, { host_port: 8080, container_port: 53, protocol: "udp" }], {
      backend,
      snat: true,
    });
    await agent.container("c1");
    // How long a call takes here and now, measured again and again on a machine that has others.
    const usual = { ADD: 0, DEL: 0 };
    const timed = async (command: "ADD" | "DEL") => {
      const start = performance.now();
      await agent.ok(command, "c1", config);
      const took = performance.now() - start;
      usual[command] = usual[command] === 0 ? took : (usual[command] + took) / 2;
    };
    await timed("ADD");
    await timed("DEL");

    let died = 0;
    // On a machine whose speed changes, kills may come too late: then there are more of them.
    const isEnough = () => died >= MOMENTS / 3;
    for (let moment = 0; moment < (isEnough() ? MOMENTS : 10 * MOMENTS); moment++) {
      const command = moment % 2 === 0 ? "ADD" : "DEL";
      if (command === "DEL") await timed("ADD");
      const after = random() * usual[command] * 1.1;
      if (await killedAfter(agent, command, config, after)) died++;
      await timed("DEL");
      assertEquals(await agent.leftovers(), [], `moment ${moment}, ${command}`);
    }
    await agent.ok("ADD", "c1", config);
    await agent.ok("DEL", "c1", config);
    // Most calls were really at work when they were killed.
    if (!isEnough()) throw new Error(`only ${died} calls were killed`);
  });
}

/** @returns whether the call was still running */
async function killedAfter(
  agent: PortMapperAgent,
  command: string,
  config: unknown,
  ms: number,
): Promise<boolean> {
  // Not by nsenter's own process, which becomes the plugin: its pid is the plugin's.
  const child = agent.sandbox.spawn([agent.plugin], {
    clearEnv: true,
    env: agent.environment(command, "c1"),
  });
  const writer = child.stdin.getWriter();
  writer.write(new TextEncoder().encode(JSON.stringify(config))).then(() => writer.close())
    .catch(() => {}); // it was killed before it read
  await new Promise((resolve) => setTimeout(resolve, ms));
  try {
    child.kill("SIGKILL");
  } catch {
    // It had ended.
  }
  const { signal } = await child.output();
  return signal === "SIGKILL";
}

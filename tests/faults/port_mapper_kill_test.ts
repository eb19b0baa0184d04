/**
 * The plugin killed at any moment of ADD or DEL, then DEL: nothing is left, and the next ADD
 * works. 300 moments with MESOS_CNI_TEST_SCALE=full.
 */
import { assertEquals } from "@std/assert";
import { network, PortMapperAgent } from "../harness/port_mapper.ts";
import { randomFrom, SEED } from "../harness/random.ts";

const MOMENTS = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full" ? 300 : 30;

for (const backend of ["iptables", "nftables"]) {
  Deno.test(`${backend}: killed at ${MOMENTS / 2} random moments (seed ${SEED})`, async () => {
    await using agent = await PortMapperAgent.create();
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

    const died = { ADD: 0, DEL: 0 };
    for (let moment = 0; moment < MOMENTS / 2; moment++) {
      const command = moment % 2 === 0 ? "ADD" : "DEL";
      if (command === "DEL") await timed("ADD");
      const after = random() * usual[command] * 1.1;
      if (await killedAfter(agent, command, config, after)) died[command]++;
      await timed("DEL");
      assertEquals(await agent.leftovers(), [], `moment ${moment}, ${command}`);
    }
    await agent.ok("ADD", "c1", config);
    await agent.ok("DEL", "c1", config);
    // Most calls were really at work when they were killed.
    for (const [command, count] of Object.entries(died)) {
      if (count < MOMENTS / 10) throw new Error(`only ${count} calls of ${command} were killed`);
    }
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

/** Many calls at the same time. More of them, and more rounds, with MESOS_CNI_TEST_SCALE=full. */
import { assertEquals } from "@std/assert";
import { partOf } from "../harness/part.ts";
import { bridge, network, PortMapperAgent, VARIANTS } from "../harness/port_mapper.ts";

const FULL = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full";
const ROUNDS = FULL ? 10 : 1;
const CHAIN = "MESOS-TEST-PORT-MAPPER";

const WAYS = [
  ...VARIANTS.map((variant) => ({ name: `iptables-${variant}`, backend: "iptables", variant })),
  { name: "nftables", backend: "nftables", variant: "nft" as const },
];

for (const { name, backend, variant } of partOf(WAYS, 2)) {
  const count = FULL ? 64 : name === "iptables-nft" ? 32 : 12;
  Deno.test(`${name}: ${count} first ADDs at the same time, then ${count} DELs, ${ROUNDS} times`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await using agent = await PortMapperAgent.create(variant);
      const ids = Array.from({ length: count }, (_, i) => `c${i}`);
      for (const id of ids) await agent.container(id);
      // A delegate without iptables of its own: the bridge plugin's would be what is tested.
      const config = (i: number) =>
        network([8000 + i], { backend, delegate: bridge({ ipMasq: false }) });
      await Promise.all(ids.map((id, i) => agent.ok("ADD", id, config(i))));
      if (backend === "iptables") {
        const all = await agent.rules(CHAIN);
        assertEquals(all.filter((rule) => rule.includes("-A PREROUTING")).length, 1);
        assertEquals(all.filter((rule) => rule.includes("-A OUTPUT")).length, 1);
        assertEquals(all.length, count + 2);
        const save = await agent.sandbox.ok(["iptables-save", "-t", "nat"], {
          env: { PATH: agent.path },
        });
        assertEquals(save.split("\n").filter((line) => line.startsWith(`:${CHAIN} `)).length, 1);
      } else {
        const elements = (await agent.elements()).match(/comment "container_id/g);
        assertEquals(elements?.length, 2 * count); // a mapping, and its excluded device
      }
      await Promise.all(ids.map((id, i) => agent.ok("DEL", id, config(i))));
      assertEquals(await agent.leftovers(), []);
    }
  });
}

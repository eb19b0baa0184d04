/** `list` in a terminal and for scripts. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { kernelTest } from "../harness/kernel.ts";
import { Pty } from "../harness/pty.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { bridgeNetwork, StockContainer } from "../harness/stock_agent.ts";

const IDS = ["5baff64c-d028-47ba-864e-a5ee679fc069", "9f1c2a77-0000-4000-8000-000000000001"];
const NETWORK = bridgeNetwork("net-a", "10.1.0.0/16");

kernelTest("list fits a terminal of 80 columns, with ids that every command takes", async () => {
  await using host = await Sandbox.create();
  await using _ = await StockContainer.launch(host, IDS[0]!, [NETWORK]);
  await using ill = await StockContainer.launch(host, IDS[1]!, [NETWORK]);
  await ill.ok(["ip", "link", "set", "eth0", "down"]);
  const show = async (args: string, pattern: RegExp) => {
    await using pty = new Pty(host.enter(["sh", "-c", `${MESOS_CNI} list ${args}; echo the end`]), {
      TERM: "xterm",
    });
    return await pty.expect(pattern);
  };
  await show(
    "",
    new RegExp(
      "\\r\\n5baff64c +eth0=net-a[^\\n]*\\r\\n9f1c2a77 [^\\n]*\x1b\\[31minterface down: eth0; no d[a-z ]*…\x1b\\[39m\\r\\nthe end",
    ),
  );
  await show("--no-trunc", new RegExp(`\r\n${IDS[0]} [^]*\r\n${IDS[1]} [^]*the end`));
  assertStringIncludes(await host.ok([MESOS_CNI, "inspect", "9f1c2a77"]), IDS[1]!);
});

Deno.test("list for scripts: whole ids, filters, an order, and no colours", async () => {
  await using host = await Sandbox.create();
  await using _ = await StockContainer.launch(host, IDS[0]!, [NETWORK]);
  await using ill = await StockContainer.launch(host, IDS[1]!, [NETWORK]);
  await ill.ok(["ip", "link", "set", "eth0", "down"]);
  const list = (...args: string[]) => host.run([MESOS_CNI, "list", ...args]);
  assertEquals((await list("-q")).stdout, IDS.join("\n") + "\n");
  assertEquals((await list("--quiet", "--sort=health")).stdout, IDS.toReversed().join("\n") + "\n");
  assertEquals((await list("-q", "--filter=health=ill")).stdout, `${IDS[1]}\n`);
  assertEquals((await list("-q", "--filter=network=nothing")).stdout, "");
  assertMatch((await list("--filter=network=nothing")).stdout, /no such containers/);
  const json = JSON.parse((await list("--json", "--filter=address=10.1.0.2")).stdout);
  assertEquals(json.map((one: { id: string }) => one.id), [IDS[0]]);
  const full = await host.run(["sh", "-c", `${MESOS_CNI} list >/dev/full`]);
  assertEquals([full.code, full.stderr.split("\n").length], [1, 2], full.stderr);
  assertStringIncludes(full.stderr, "can't write standard output: no space is left");
  const text = (await list()).stdout;
  assert(!text.includes("\x1b"), text);
  for (
    const [args, says] of [["--sort=size", "none of id, network"], ["--filter=x=1", "it goes by"]]
  ) {
    const wrong = await list(args!);
    assertEquals(wrong.code, 2);
    assertStringIncludes(wrong.stderr, says!);
  }
});

import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { kernelTest } from "../harness/kernel.ts";
import { Firewall } from "../../lib/firewall/firewall.ts";
import { addMasquerade } from "../../lib/firewall/masquerade_table.ts";

const TABLE = ["inet", "cni_plugins_masquerade"];

async function nft(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("nft", { args }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

const shared = (...flags: string[]) => nft(...flags, "list", "chain", ...TABLE, "postrouting");
async function add(id: string): Promise<void> {
  const owner = { network: "net", containerId: id, ifName: "eth0" };
  const plan = await addMasquerade(owner, ["10.1.0.2/24"]);
  await Firewall.ofKind("nf_tables", "").change({ families: [], plan, what: "masquerade" });
}

kernelTest(
  "the shared rules are left as they are, and mended where somebody has changed them",
  async () => {
    await add("a");
    const [wanted, handles] = [await shared(), await shared("-a")];
    await add("b");
    assertEquals(await shared("-a"), handles, "rules that were right are not written again");

    const changes = [
      ["flush", "chain", ...TABLE, "postrouting"],
      ["insert", "rule", ...TABLE, "postrouting", "accept"],
      ["add", "rule", ...TABLE, "postrouting", "accept"],
    ];
    for (const [i, change] of changes.entries()) {
      await nft(...change);
      assertNotEquals(await shared(), wanted);
      await add(`c${i}`);
      assertEquals(await shared(), wanted, change.join(" "));
    }
    await nft("flush", "chain", ...TABLE, "postrouting");
    for (const rule of wanted.split("\n").filter((line) => /return|goto/.test(line))) {
      const other = rule.trim().replace("224.0.0.0/4", "225.0.0.0/8");
      await nft("add", "rule", ...TABLE, "postrouting", ...other.split(" "));
    }
    assertNotEquals(await shared(), wanted);
    await add("d");
    assertEquals(await shared(), wanted, "as many rules, but another among them");

    await nft("add", "table", ...TABLE, "{ flags dormant; }");
    assertStringIncludes(await nft("list", "table", ...TABLE), "dormant");
    await add("e");
    assertEquals((await nft("list", "table", ...TABLE)).includes("dormant"), false);
  },
);

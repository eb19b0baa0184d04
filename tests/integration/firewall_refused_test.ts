/**
 * The kernel refuses changes of rules over netlink: iptables' own program makes those of iptables,
 * and what nobody can make is told in the words of who asked for it.
 */
import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { partOf } from "../harness/part.ts";
import { Sandbox } from "../harness/sandbox.ts";

const PROGRAM = fromFileUrl(new URL("../harness/refusing_program.ts", import.meta.url));
const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** How one call of the program ended, and the rules of both families that lead to its container. */
async function call(name: string): Promise<{ end: string; led: number }> {
  await using sandbox = await Sandbox.create();
  await sandbox.ok(["ip", "netns", "add", "c1"]);
  await sandbox.ok(["ip", "link", "add", "br0", "up", "type", "bridge"]);
  for (const address of ["10.9.0.1/24", "fd00:9::1/64"]) {
    await sandbox.ok(["ip", "address", "add", address, "dev", "br0", "nodad"]);
  }
  const end = await sandbox.ok([
    Deno.execPath(),
    ...["run", "--quiet", "--no-check", "--no-config", "--no-lock"],
    `--import-map=${ROOT}tools/closed_network/import_map.json`,
    ...["--allow-all", PROGRAM, name],
  ]);
  const saved = await Promise.all(
    ["iptables-save", "ip6tables-save"].map((tool) => sandbox.ok([tool, "-t", "nat"])),
  );
  const led = saved.flatMap((text) => text.split("\n"))
    .filter((line) => line.includes("DNAT --to-destination")).length;
  return { end: end.trim(), led };
}

for (
  const [name, expected] of partOf(
    Object.entries({
      "iptables: DEL": { end: "done", led: 0 },
      "iptables: ADD again": { end: "done", led: 3 },
      "nftables: ADD": { end: "nft_failed", led: 0 },
      "two works, of which one can't take back what it did": {
        end: "what it wrote down could not be removed",
        led: 0,
      },
    }),
    2,
  )
) {
  Deno.test(`refused over netlink: ${name}`, async () => {
    assertEquals(await call(name), expected);
  });
}

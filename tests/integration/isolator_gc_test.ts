import { assertEquals } from "@std/assert";
import { findAddresses } from "../../lib/isolator/gc/addresses.ts";
import { kernelTest } from "../harness/kernel.ts";

kernelTest("gc leaves an address alone that went to another container meanwhile", async () => {
  const store = await Deno.makeTempDir();
  try {
    const longAgo = new Date(Date.now() - 3_600_000);
    for (const name of ["10.0.0.2", "10.0.0.3"]) {
      await Deno.writeTextFile(`${store}/${name}`, "dead\r\neth0");
      await Deno.utime(`${store}/${name}`, longAgo, longAgo);
    }
    const living = {
      addresses: new Set<string>(),
      namespaceIds: new Set<number>(),
      strangers: new Map(),
      incomplete: false,
    };
    const none = new Set<string>();
    // Where something may have the address without showing it, or its holder lives, it stays.
    const holders = { alive: none, dead: none, unexplained: false };
    assertEquals(findAddresses(store, living, { ...holders, unexplained: true }), []);
    assertEquals(findAddresses(store, living, { ...holders, alive: new Set(["dead"]) }), []);
    const garbage = findAddresses(store, living, holders);
    assertEquals(garbage.length, 2);

    await Deno.remove(`${store}/10.0.0.2`);
    await Deno.writeTextFile(`${store}/10.0.0.2`, "alive\r\neth0");
    for (const one of garbage) await one.remove();
    const left = [...Deno.readDirSync(store)].map(({ name }) => name).sort();
    assertEquals(left, ["10.0.0.2", "lock"]);
  } finally {
    await Deno.remove(store, { recursive: true });
  }
});

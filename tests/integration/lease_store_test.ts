/** Files of a store of host-local that are not as this program writes them. */
import { assertEquals } from "@std/assert";
import { LeaseStore } from "../../plugins/host_local/store.ts";
import { kernelTest } from "../harness/kernel.ts";

kernelTest(
  "a lease of any length is read whole; one that leads nowhere, and a directory, are taken and nobody's",
  async () => {
    const dir = Deno.makeTempDirSync();
    try {
      using store = await LeaseStore.open(dir);
      const holder = { containerId: "a".repeat(5000), ifName: "eth0" };
      assertEquals(store.reserve("10.0.0.2", holder, 0), true);
      assertEquals(store.addressesOf(holder), ["10.0.0.2"]);
      Deno.mkdirSync(`${dir}/10.0.0.3`);
      assertEquals(store.addressesOf(holder), ["10.0.0.2"]);
      assertEquals(store.reserve("10.0.0.3", holder, 0), false);
      Deno.symlinkSync("10.0.0.4", `${dir}/10.0.0.4`);
      assertEquals(store.addressesOf(holder), ["10.0.0.2"]);
      assertEquals(store.reserve("10.0.0.4", holder, 0), false);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

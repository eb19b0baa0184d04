import { FULL } from "../scale.ts";
import { KERNELS } from "./kernels.ts";

/** A test that needs a virtual machine: skipped where QEMU or a kernel can't be had. */
export function machineTest(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test({ name, fn, ignore: KERNELS.length === 0 });
}

/** Whether all scenarios are run: by `./dev machine`, and with `MESOS_CNI_TEST_SCALE=full`. */
export const ALL: boolean = FULL || Deno.env.get("MESOS_CNI_TEST_MACHINES") === "all";

/** One that takes minutes. */
export function longMachineTest(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test({ name, fn, ignore: KERNELS.length === 0 || !ALL });
}

import { FULL } from "../scale.ts";
import { KERNELS } from "./kernels.ts";

/** A test that needs a virtual machine: skipped where QEMU or a kernel can't be had. */
export function machineTest(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test({ name, fn, ignore: KERNELS.length === 0 });
}

/** One that takes minutes: only `./dev machine` and `MESOS_CNI_TEST_SCALE=full` run it. */
export function longMachineTest(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test({ name, fn, ignore: KERNELS.length === 0 || !FULL });
}

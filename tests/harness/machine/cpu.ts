/**
 * The processor of virtual machines: this machine's; or an arm64, whose kernel and programs `./dev machine
 * --arm64` has fetched to the directory that MESOS_CNI_TEST_ARM64_MACHINE names.
 */
import { fromFileUrl } from "@std/path";

interface Cpu {
  /** Where kernels are, each as `linux-SERIES`. */
  kernels: string;
  qemu: string;
  /** QEMU's words for such a machine. */
  machine: readonly string[];
  console: string;
  /** Below it are the machine's programs, where this one's are of no use to it. */
  root?: string;
}

const ARM64 = Deno.env.get("MESOS_CNI_TEST_ARM64_MACHINE");

export const CPU: Cpu = ARM64 === undefined
  ? {
    kernels: fromFileUrl(new URL("../../../.tools/machine", import.meta.url)),
    qemu: "/usr/bin/qemu-system-x86_64",
    machine: ["-cpu", "Nehalem"],
    console: "ttyS0",
  }
  : {
    kernels: ARM64,
    qemu: "/usr/bin/qemu-system-aarch64",
    // Newer ones sign pointers, which takes an emulation half of its time.
    machine: ["-M", "virt", "-cpu", "cortex-a72"],
    console: "ttyAMA0",
    root: `${ARM64}/root`,
  };

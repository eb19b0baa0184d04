/** The kernels that `./dev` has fetched for virtual machines; none where they can't be had. */
import { CPU } from "./cpu.ts";

/** Debian's kernels, oldest first, as "6.1". */
export const KERNELS: string[] = find();

/** A file or directory of a kernel: `vmlinuz`, `lib/modules`. */
export function kernelFile(kernel: string, path: string): string {
  return `${CPU.kernels}/linux-${kernel}/${path}`;
}

function find(): string[] {
  try {
    Deno.statSync(CPU.qemu);
    return [...Deno.readDirSync(CPU.kernels)]
      .flatMap(({ name }) => name.match(/^linux-(\d+\.\d+)$/)?.[1] ?? [])
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

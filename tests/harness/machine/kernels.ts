/** The kernels that `./dev` has fetched for virtual machines; none where they can't be had. */
import { fromFileUrl } from "@std/path";

const DIR = fromFileUrl(new URL("../../../.tools/machine", import.meta.url));
const QEMU = "/usr/bin/qemu-system-x86_64";

/** Debian's kernels, oldest first, as "6.1". */
export const KERNELS: string[] = find();

/** A file or directory of a kernel: `vmlinuz`, `lib/modules`. */
export function kernelFile(kernel: string, path: string): string {
  return `${DIR}/linux-${kernel}/${path}`;
}

function find(): string[] {
  try {
    Deno.statSync(QEMU);
    return [...Deno.readDirSync(DIR)]
      .flatMap(({ name }) => name.match(/^linux-(\d+\.\d+)$/)?.[1] ?? [])
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

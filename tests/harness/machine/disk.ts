/** Disks for virtual machines: an ext4 file system with what a machine is to have. */
import { CPU } from "./cpu.ts";
import { kernelFile, KERNELS } from "./kernels.ts";

/** What a machine can have besides its kernel and busybox: files and directories of this one. */
export const PARTS = {
  /** The iptables that keeps its rules in nf_tables, as Debian has it. */
  iptables: [
    "/usr/sbin/iptables",
    "/usr/sbin/iptables-restore",
    "/usr/sbin/iptables-save",
    "/usr/sbin/ip6tables",
    "/usr/sbin/ip6tables-restore",
    "/usr/sbin/ip6tables-save",
    "/usr/lib/x86_64-linux-gnu/xtables",
  ],
  /** Debian's containernetworking-plugins. */
  plugins: ["/usr/lib/cni"],
  /** What sets up networks that the program doesn't. */
  iproute2: ["/usr/sbin/ip", "/usr/sbin/tc", "/usr/sbin/bridge"],
  strace: ["/usr/bin/strace"],
  /** What talks SCTP, and to unix sockets. */
  socat: ["/usr/bin/socat"],
  systemd: ["/usr/lib/systemd", "/usr/bin/systemctl", "/usr/bin/journalctl"],
} satisfies Record<string, string[]>;

export type Part = keyof typeof PARTS;

export interface DiskContents {
  kernel: string;
  parts: readonly Part[];
  /** Files that only this machine has: where they are in it, and where they come from. */
  files: Readonly<Record<string, string>>;
}

const BUSYBOX = "/usr/bin/busybox";
const GUEST = new URL("guest/", import.meta.url);

/** Makes the disk and the initial file system from which a machine finds it. */
export async function makeDisk(
  { kernel, parts, files }: DiskContents,
  dir: string,
): Promise<{ disk: string; initramfs: string }> {
  const root = `${dir}/root`;
  await makeTree(root);
  await copyProgram(BUSYBOX, root);
  for (const applet of (await output("busybox", "--list-full")).trim().split("\n")) {
    const path = `${root}/${applet.startsWith("usr/") ? applet : `usr/${applet}`}`;
    if (!path.endsWith("/busybox")) await Deno.symlink("../bin/busybox", path);
  }
  // Debian's directories of libraries: what loads which of them can't be asked of another processor's programs.
  if (CPU.root !== undefined) {
    for (const libraries of ["/lib", "/usr/lib"]) {
      await copy(`${CPU.root}${libraries}/.`, `${root}/usr/lib`);
    }
  }
  await copy(kernelFile(kernel, "lib/modules"), `${root}/lib/modules`);
  for (const part of parts.flatMap((part) => PARTS[part])) await copyProgram(part, root);
  for (const [target, source] of Object.entries(files)) {
    await copyProgram(source, root, target);
  }
  for (const name of ["inittab", "start", "control"]) {
    await copy(new URL(name, GUEST).pathname, `${root}/etc/${name}`);
  }
  if (parts.includes("systemd")) await startBySystemd(root);
  const disk = `${dir}/disk.img`;
  await output("mke2fs", "-q", "-t", "ext4", "-d", root, disk, "1G");
  await Deno.remove(root, { recursive: true });
  return { disk, initramfs: await makeInitramfs(kernel, dir) };
}

/** systemd is the first process then, and what takes commands a service like the others. */
async function startBySystemd(root: string): Promise<void> {
  const units = `${root}/etc/systemd/system`;
  await Deno.mkdir(units, { recursive: true });
  for (const unit of ["control.service", "default.target"]) {
    await copy(new URL(unit, GUEST).pathname, `${units}/${unit}`);
  }
  await Deno.remove(`${root}/usr/sbin/init`);
  await Deno.symlink("../lib/systemd/systemd", `${root}/usr/sbin/init`);
  // A machine id and a writable /tmp it makes itself.
  await Deno.writeTextFile(`${root}/etc/machine-id`, "");
}

/** As Debian has it: the old directories of programs are links. */
async function makeUsr(root: string): Promise<void> {
  for (const dir of ["bin", "sbin", "lib", "lib64"]) {
    await Deno.mkdir(`${root}/usr/${dir}`, { recursive: true });
    await Deno.symlink(`usr/${dir}`, `${root}/${dir}`);
  }
}

async function makeTree(root: string): Promise<void> {
  await makeUsr(root);
  const mountPoints = ["proc", "sys", "dev", "run", "tmp", "mnt"];
  for (const dir of ["usr/local/bin", "var/lib", "etc", "root", ...mountPoints]) {
    await Deno.mkdir(`${root}/${dir}`, { recursive: true });
  }
  await Deno.symlink("/run", `${root}/var/run`);
  await Deno.writeTextFile(`${root}/etc/passwd`, "root:x:0:0:root:/root:/bin/sh\n");
  await Deno.writeTextFile(`${root}/etc/hosts`, "127.0.0.1 localhost agent\n");
  await Deno.writeTextFile(`${root}/etc/resolv.conf`, "nameserver 127.0.0.1\n");
  await Deno.writeTextFile(`${root}/etc/hostname`, "agent\n");
}

/** A file system in memory that has just enough to mount the disk. */
async function makeInitramfs(kernel: string, dir: string): Promise<string> {
  const root = `${dir}/initramfs`;
  await makeUsr(root);
  await copyProgram(BUSYBOX, root);
  const modules = kernelFile(kernel, "lib/modules");
  const paths = (await output("find", modules, "-name", "modules.*")).trim().split("\n");
  paths.push(...(await output("find", modules, "-name", "virtio*.ko")).trim().split("\n"));
  for (const path of paths) {
    await copy(path, `${root}/lib/modules${path.slice(modules.length)}`);
  }
  await copy(new URL("initramfs", GUEST).pathname, `${root}/init`);
  const file = `${dir}/initramfs.gz`;
  const pack = 'cd "$1" && find . | busybox cpio -o -H newc | gzip -1 >"$2"';
  await output("sh", "-c", pack, "sh", root, file);
  await Deno.remove(root, { recursive: true });
  return file;
}

/** Copies a program or a directory of them to the same place, with the libraries that they load. */
async function copyProgram(path: string, root: string, target = path): Promise<void> {
  const source = await placeOf(path);
  await copy(source, `${root}${target}`);
  const programs = (await output("find", "-L", source, "-type", "f")).trim().split("\n");
  const { stdout } = await new Deno.Command("ldd", { args: programs, stderr: "null" }).output();
  for (const [, library] of new TextDecoder().decode(stdout).matchAll(/(\/\S+) \(0x/g)) {
    const place = `${root}${library!.startsWith("/usr") ? "" : "/usr"}${library}`;
    if (!await exists(place)) await copy(library!, place);
  }
}

/** Of another processor's program, where it was unpacked; /bin is no link to /usr/bin there. */
async function placeOf(path: string): Promise<string> {
  if (CPU.root === undefined) return path;
  for (const place of [CPU.root + path, CPU.root + path.replace(/^\/usr/, "")]) {
    if (await exists(place)) return place;
  }
  return path;
}

/** Links become what they lead to: on this machine, some lead to alternatives in /etc. */
async function copy(source: string, target: string): Promise<void> {
  await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
  await output("cp", "-rL", "--preserve=mode", "--remove-destination", source, target);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function output(command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args }).output();
  if (code !== 0) {
    throw new Error(`${command} ${args.join(" ")}\n${new TextDecoder().decode(stderr)}`);
  }
  return new TextDecoder().decode(stdout);
}

/** The kernel of a machine that is not asked for another. */
export const DEFAULT_KERNEL: string | undefined = KERNELS[0];

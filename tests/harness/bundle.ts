/** Bundles for OCI runtimes: a small image and a config.json with our hooks. */
import { dirname } from "@std/path";
import { MESOS_CNI } from "./binary.ts";
import type { Sandbox } from "./sandbox.ts";

export type Runtime = "crun" | "runc";

/** A bundle's config.json, as far as tests change it. */
export interface BundleConfig {
  hostname?: string;
  process: { args: string[]; terminal: boolean; capabilities: Record<string, string[]> };
  root: { path: string; readonly: boolean };
  annotations?: Record<string, string>;
  linux: { namespaces: { type: string; path?: string }[]; cgroupsPath?: string };
  hooks?: unknown;
}

/** What a command line of each runtime begins with. */
export function runtimeCommand(runtime: Runtime): string[] {
  return runtime === "crun" ? ["crun", "--cgroup-manager=disabled"] : ["runc"];
}

/** crun wants the second version of cgroups, where other things may be mounted. */
export async function prepareFor(runtime: Runtime, agent: Sandbox): Promise<void> {
  if (runtime !== "crun") return;
  await agent.run(["umount", "--recursive", "/sys/fs/cgroup"]);
  await agent.ok(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"]);
}

/** Makes a bundle in a directory, whose container runs `args` of busybox. */
export async function makeBundle(
  runtime: Runtime,
  agent: Sandbox,
  directory: string,
  networkFlags: readonly string[],
  change: (config: BundleConfig) => void,
): Promise<void> {
  await makeImage(agent, `${directory}/rootfs`);
  const file = `${directory}/config.json`;
  await agent.ok(["rm", "-f", file]);
  await agent.ok([runtime, "spec", "--bundle", directory]);
  const config: BundleConfig = JSON.parse(Deno.readTextFileSync(file));
  config.process.terminal = false;
  // By default it is the container's id, which tests share.
  config.linux.cgroupsPath = `/mesos-cni-test-${crypto.randomUUID()}`;
  // crun drops what hooks say, unless it is told a file for it; runc reports it itself.
  config.annotations = { "run.oci.hooks.stderr": `${directory}/hooks.log` };
  config.root = { path: "rootfs", readonly: false };
  const hook = (name: string) => [{
    path: MESOS_CNI,
    args: ["mesos-cni", "isolator", "oci-hook", name, ...networkFlags],
  }];
  config.hooks = { createRuntime: hook("createRuntime"), poststop: hook("poststop") };
  change(config);
  Deno.writeTextFileSync(file, JSON.stringify(config));
}

/** The machine's busybox and the libraries that it needs; found once. */
let busyboxFiles: Promise<string[]> | undefined;

async function findBusybox(agent: Sandbox): Promise<string[]> {
  const busybox = (await agent.ok(["which", "busybox"])).trim();
  const linked = await agent.run(["ldd", busybox]);
  return [busybox, ...linked.code === 0 ? linked.stdout.match(/\/lib\S+/g) ?? [] : []];
}

async function makeImage(agent: Sandbox, rootfs: string): Promise<void> {
  for (const name of ["bin", "etc", "proc", "sys", "dev", "www"]) {
    Deno.mkdirSync(`${rootfs}/${name}`, { recursive: true });
  }
  const [busybox, ...libraries] = await (busyboxFiles ??= findBusybox(agent));
  for (const file of libraries) {
    Deno.mkdirSync(dirname(rootfs + file), { recursive: true });
    Deno.copyFileSync(file, rootfs + file);
  }
  Deno.copyFileSync(busybox!, `${rootfs}/bin/busybox`);
  Deno.writeTextFileSync(`${rootfs}/www/index.html`, "hello from an OCI container\n");
}

import type { Plugin as InProcess } from "../lib/cni/invocation.ts";

/** A CNI plugin: reads its environment and standard input, and resolves to its exit code. */
export interface Plugin {
  main(args: string[]): Promise<number>;
}

const PLUGINS: Readonly<Record<string, () => Promise<Plugin>>> = {
  "mesos-cni-port-mapper": () => import("./port_mapper/main.ts"),
};

/** The plugin that a program called `argv0` is, if it is one. */
export function pluginNamed(argv0: string): (() => Promise<Plugin>) | undefined {
  const name = argv0.slice(argv0.lastIndexOf("/") + 1);
  return Object.hasOwn(PLUGINS, name) ? PLUGINS[name] : undefined;
}

/** The same plugins for a call from inside this program, by their type. */
export const BUILT_INS: Readonly<Record<string, () => Promise<InProcess>>> = {
  "mesos-cni-port-mapper": async () => (await import("./port_mapper/plugin.ts")).portMapper,
};

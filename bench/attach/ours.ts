/** The port mapper with the built-in bridge, as functions and as a program. */
import type { JsonObject } from "../../lib/base/json.ts";
import type { CniCommand, Invocation } from "../../lib/cni/invocation.ts";
import { launcherBytes, launcherOf } from "../../lib/cni/launcher.ts";
import { locatePlugin } from "../../lib/cni/locate.ts";
import { portMapper } from "../../plugins/port_mapper/plugin.ts";
import { REGISTRY } from "../../plugins/registry.ts";
import { MESOS_CNI } from "../../tests/harness/binary.ts";
import { runProgram } from "../timing.ts";
import {
  type Backend,
  bridgeConfig,
  environment,
  mappings,
  NETNS,
  PATH,
  type Peer,
} from "./peer.ts";

export const CHAIN = "MESOS-BENCH";
/** The plugins as `install` lays them: launchers. */
export const OWN_PLUGINS = "/run/ours";

/** What the service does for each, without the service: functions of the benchmark's own process. */
export function inProcess(backend: Backend): Peer {
  const config = wrapping(`fn-${backend}`, backend === "iptables" ? 57 : 58, backend);
  const call = async (command: CniCommand, containerId: string) => {
    await portMapper(invocation(command, containerId, config));
  };
  return {
    name: `ours, functions of one process, ${backend}`,
    attach: (id) => call("ADD", id),
    detach: (id) => call("DEL", id),
  };
}

export async function layPlugins(): Promise<void> {
  await Deno.mkdir(OWN_PLUGINS, { recursive: true });
  for (const type of REGISTRY.values()) {
    const bytes = launcherBytes(launcherOf(type, MESOS_CNI));
    await Deno.writeFile(`${OWN_PLUGINS}/${type.type}`, bytes, { mode: 0o755 });
  }
}

/** As an agent does it: a program for the port mapper, in which the bridge is a function. */
export async function asProgram(backend: Backend): Promise<Peer> {
  await layPlugins();
  const config = wrapping(`prog-${backend}`, backend === "iptables" ? 52 : 53, backend);
  const call = async (command: CniCommand, id: string) => {
    await runProgram(`${OWN_PLUGINS}/mesos-cni-port-mapper`, [], {
      clearEnv: true,
      env: environment(command, id, OWN_PLUGINS),
      stdin: JSON.stringify(config),
    });
  };
  return {
    name: `ours, a program, ${backend}`,
    attach: (id) => call("ADD", id),
    detach: (id) => call("DEL", id),
  };
}

export function wrapping(name: string, net: number, backend: Backend): JsonObject {
  const { name: _name, cniVersion: _version, ...delegate } = bridgeConfig(name, net, backend);
  return {
    cniVersion: "1.0.0",
    name,
    type: "mesos-cni-port-mapper",
    backend,
    chain: CHAIN,
    excludeDevices: [name],
    delegate,
    runtimeConfig: { portMappings: mappings(2_000 + 10 * net) },
  };
}

/** Where the ports of other containers begin. */
const OTHER_PORTS: Readonly<Record<Backend, number>> = { iptables: 20_000, nftables: 30_000 };

/** Mappings of other containers: fifty each, after a bridge that is not measured. */
export async function mapOthers(backend: Backend, count: number): Promise<void> {
  for (let first = 0; first < count; first += 50) {
    const host = first / 50;
    await portMapper(invocation("ADD", `other-${host}`, {
      cniVersion: "1.0.0",
      name: `others-${backend}`,
      type: "mesos-cni-port-mapper",
      backend,
      chain: CHAIN,
      prevResult: {
        cniVersion: "1.0.0",
        ips: [{ address: `10.60.${host >> 8}.${host & 255}/16` }],
      },
      runtimeConfig: {
        portMappings: Array.from({ length: 50 }, (_, i) => ({
          hostPort: OTHER_PORTS[backend] + first + i,
          containerPort: 80,
        })),
      },
    }));
  }
}

function invocation(command: CniCommand, containerId: string, config: JsonObject): Invocation {
  return {
    command,
    containerId,
    netns: NETNS,
    ifName: "eth0",
    path: PATH,
    searchPath: "",
    config,
    locate: (type) => locatePlugin(type, "", REGISTRY, {}),
  };
}

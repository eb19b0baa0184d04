import { OperatorError } from "../base/error.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { portMapping } from "../isolator/prepare.ts";
import type { NetworkInfo } from "../mesos/messages.ts";
import { parseContainerId } from "../mesos/container_id.ts";
import { run } from "../run/run.ts";
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Call, type Command, flag, isPort, requireBehind, UsageError } from "./command.ts";
import { isolatorOf } from "./isolator_of.ts";
import { requireDirectories } from "./netns_target.ts";
import { statOf } from "../base/exists.ts";

export const command: Command = {
  name: "run",
  operands: "-- COMMAND [ARG…]",
  flags: [
    ...NETWORK_FLAGS,
    flag(
      "--networks=NET[,NET…]",
      "networks to join, as eth0, eth1, …; without it, the agent's own network",
      { repeatable: true, complete: "network" },
    ),
    flag("--name=ID", "the container's id", { usual: "a new one" }),
    flag("--hostname=NAME", "the container's hostname", { usual: "its id" }),
    flag("--rootfs=DIR", "root directory of an image"),
    flag(
      "--port_mappings=HOST:CONTAINER[/PROTOCOL],…",
      "ports of the agent that lead to the container, on the first network that maps ports",
      { repeatable: true },
    ),
    flag("--labels=KEY:VALUE,…", "labels that every network's plugins get", { repeatable: true }),
    flag("--env=NAME=VALUE", "an environment variable of the command", { repeatable: true }),
  ],
  examples: [
    [
      "mesos-cni run --network_cni_config_dir=examples/networks --network_cni_plugins_dir=/usr/lib/cni --networks=cni-test -- ip address",
      "the addresses of a container on the network cni-test",
    ],
    [
      "mesos-cni run --network_cni_config_dir=examples/networks --network_cni_plugins_dir=/usr/lib/cni --networks=port-mapper-test --port_mappings=8080:80 -- busybox httpd -f",
      "a web server that answers at the agent's port 8080",
    ],
  ],
  notes:
    `Directories are absolute, or relative to where you are. The exit code is the command's; 128 + n
if signal n ended it; 126 or 127 if it could not be executed; 1 if the container could not be made.

The command has networks, mounts and a hostname of its own, and that is all: it runs as you, with
your capabilities, and sees the agent's processes, devices and (without --rootfs) files. It is no
sandbox. Of your environment it has PATH, HOME, USER, LOGNAME, SHELL, TERM, LANG, LC_*, TZ,
LIBPROCESS_IP, and what --env says; of your descriptors standard input, output and error.`,
  async run(call) {
    const { rest } = call;
    requireBehind(call, "the command", "run");
    if (!isCommand(rest)) throw new UsageError(`the command to run is missing: -- COMMAND [ARG…]`);
    requireDirectories(call, ["network_cni_config_dir", "network_cni_plugins_dir"]);
    const rootfs = imageOf(call);
    const id = parseContainerId(call.value("name") ?? crypto.randomUUID());
    const isolator = isolatorOf(call);
    const config = {
      container_info: {
        type: "MESOS",
        hostname: call.value("hostname"),
        network_infos: networkInfos(call, isolator),
      },
      rootfs,
    } as const;
    try {
      return await run(isolator, id, config, { argv: rest, env: environment(call), rootfs });
    } catch (error) {
      // The message was made of the flags.
      if (error instanceof OperatorError && error.code === "bad_message") {
        throw new UsageError(error.message);
      }
      throw error;
    }
  },
};

function imageOf(call: Call): string | undefined {
  const path = call.value("rootfs");
  if (path === undefined) return undefined;
  if (statOf(path)?.isDirectory) return Deno.realPathSync(path);
  throw new UsageError(`--rootfs: there is no directory ${path}`);
}

function isCommand(rest: string[] | undefined): rest is [string, ...string[]] {
  return rest !== undefined && rest.length > 0;
}

function networkInfos(call: Call, isolator: Isolator): NetworkInfo[] {
  const names = list(call, "networks");
  const labels = list(call, "labels").map(label);
  const mappings = list(call, "port_mappings").map(parseMapping);
  if (mappings.length > 0 && names.length === 0) {
    throw new UsageError("--port_mappings needs a network to map to: --networks=NET");
  }
  const mapped = mappings.length > 0 ? mappingNetwork(isolator, names) : undefined;
  return names.map((name) => ({
    name,
    ...labels.length > 0 ? { labels: { labels } } : {},
    ...name === mapped ? { port_mappings: mappings } : {},
  }));
}

/** The first network whose plugins map ports; else one of whose plugins that is not known. */
function mappingNetwork(isolator: Isolator, names: readonly string[]): string {
  const can = (name: string) => portMapping(isolator, name);
  const found = names.find((name) => can(name) === "yes") ??
    names.find((name) => can(name) === "unknown");
  if (found !== undefined) return found;
  const other = isolator.networks.names().find((name) => can(name) === "yes");
  throw new UsageError(
    `--port_mappings: no plugin of ${names.join(", ")} maps ports` +
      (other === undefined
        ? ": add mesos-cni-port-mapper to the network"
        : `; ask for a network that does, such as ${other}`),
  );
}

function parseMapping(text: string) {
  const [, host = "", container = "", protocol = "tcp"] =
    /^(\d+):(\d+)(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  if (!isPort(host) || !isPort(container)) {
    throw new UsageError(
      `--port_mappings: ${text} is not like 8080:80 or 5353:53/udp: ports from 1 to 65535, ` +
        "protocols tcp, udp and sctp",
    );
  }
  const [host_port, container_port] = [Number(host), Number(container)];
  return { host_port, container_port, protocol: protocol.toLowerCase() };
}

function label(text: string) {
  const colon = text.indexOf(":");
  if (colon < 1) throw new UsageError(`--labels: ${text} is not like KEY:VALUE`);
  return { key: text.slice(0, colon), value: text.slice(colon + 1) };
}

function environment(call: Call): Record<string, string> {
  return Object.fromEntries(
    call.values("env").map((text) => {
      const equals = text.indexOf("=");
      if (equals < 1) throw new UsageError(`--env: ${text} is not like NAME=VALUE`);
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

function list(call: Call, flag: string): string[] {
  return call.values(flag).flatMap((value) => value.split(","));
}

/** One archive for a ticket. */
import { gzipSync } from "node:zlib";
import { concat } from "../base/bytes.ts";
import { variable } from "../base/environment.ts";
import { configureLog } from "../base/log.ts";
import { exists } from "../base/exists.ts";
import { knownContainers } from "../containers/ids.ts";
import { resolveId } from "../containers/target.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import { collect, type Part } from "../fleet/bundle.ts";
import { flagWithoutSecrets } from "../fleet/secrets.ts";
import { tar } from "../fleet/tar.ts";
import { getHostname } from "../kernel/uts.ts";
import { join, resolve } from "@std/path";
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Call, type Command, flag } from "./command.ts";
import { writeOutputFile } from "./file_output.ts";
import { FOUND_FLAGS, runningAgent, SETTINGS_FILE } from "./found_values.ts";
import { isolatorOf } from "./isolator_of.ts";
import { print, progressOf } from "./output.ts";
import { tried, unlessRefused } from "../base/unless.ts";

export const command: Command = {
  name: "bundle",
  operands: "[ID…]",
  complete: "container",
  flags: [
    flag("--output=FILE", "the archive", { usual: "mesos-cni-HOST-TIME.tar.gz here" }),
    flag("--with-secrets", "include labels, environments and tokens, which are left out otherwise"),
    ...NETWORK_FLAGS,
  ],
  examples: [
    ["mesos-cni bundle", "of all containers"],
    ["mesos-cni bundle 5f3a --output=/tmp/ticket.tar.gz", "of one, and the agent"],
  ],
  notes:
    `MANIFEST in it says where each file comes from, and what could not be read. Half a minute at most: what
has not been asked by then is left out, and said. Probes of diagnose are sent, nothing is changed.`,
  async run(call) {
    if (call.given("log-level") === undefined) configureLog({ level: "error" });
    const isolator = isolatorOf(call);
    const { layout, cni, path } = isolator.settings;
    const ids = call.operands.map((id) => resolveId(layout, id, () => undefined));
    const all = ids.length > 0 ? ids : knownContainers(layout);
    // What can't be listed is said by networks.txt.
    const networks = unlessRefused(() => isolator.networks.names()) ?? [];
    const time = new Date();
    const name = `mesos-cni-${getHostname()}-${
      time.toISOString().slice(0, 19).replaceAll(":", "")
    }Z`;
    const withSecrets = call.has("with-secrets");
    const files = await collect(
      partsOf(all, networks, cni?.configDir, withSecrets),
      { env: environmentOf(call, path), withSecrets, progress: progressOf("parts") },
    );
    const archived = files.map((one) => ({ ...one, path: `${name}/${one.path}` }));
    const bytes = new Uint8Array(
      gzipSync(concat([...tar(archived, Math.floor(time.getTime() / 1000))])),
    );
    const output = resolve(call.value("output") ?? `${name}.tar.gz`);
    // Only root's, as what it was made of.
    writeOutputFile(output, bytes, 0o600);
    print(output);
  },
};

/** A call of this program; what it prints as JSON can have what frameworks say. */
function own(path: string, ...words: string[]): Part {
  return { path, command: ["mesos-cni", ...words], isConfig: path.endsWith(".json") };
}

function partsOf(
  ids: readonly ContainerId[],
  networks: readonly string[],
  configDir: string | undefined,
  withSecrets: boolean,
): Part[] {
  const tool = (path: string, ...command: string[]): Part => ({ path, command });
  return [
    // What takes longest begins first; each of the two is for all containers at once.
    { ...own("diagnosis", "bundle-part", "diagnosis", ...ids), isMany: true, patience: 27_000 },
    { ...own("containers", "bundle-part", "inspect", ...ids), isMany: true, patience: 27_000 },
    tool("machine/uname.txt", "uname", "-a"),
    { path: "machine/os-release", file: "/etc/os-release" },
    ...exists(SETTINGS_FILE) ? [{ path: "machine/mesos-cni.json", file: SETTINGS_FILE }] : [],
    tool("machine/links.txt", "ip", "-details", "-statistics", "link"),
    tool("machine/addresses.txt", "ip", "address"),
    tool("machine/routes.txt", "ip", "route", "show", "table", "all"),
    tool("machine/routes6.txt", "ip", "-6", "route", "show", "table", "all"),
    tool("machine/policy.txt", "ip", "rule"),
    tool("machine/neighbours.txt", "ip", "neighbour"),
    tool(
      "machine/sysctl.txt",
      "sysctl",
      "net.ipv4.ip_forward",
      "net.ipv6.conf.all.forwarding",
      "net.bridge",
    ),
    tool("machine/iptables.txt", "iptables-save", "-c"),
    tool("machine/ip6tables.txt", "ip6tables-save", "-c"),
    tool("machine/iptables-legacy.txt", "iptables-legacy-save", "-c"),
    tool("machine/nft.txt", "nft", "-a", "list", "ruleset"),
    own("status.txt", "status"),
    own("status.json", "status", "--json"),
    own("history.txt", "history"),
    own("history.json", "history", "--json"),
    own("list.txt", "list"),
    own("list.json", "list", "--json"),
    own("topology.txt", "topology"),
    own("networks.txt", "networks"),
    own("lint.txt", "lint", "--format=concise"),
    own("gc.json", "gc", "--json"),
    own("config.txt", "config"),
    own("version.txt", "version"),
    ...networks.map((one) => own(`networks/${one}.txt`, "network", "show", one)),
    ...configFiles(configDir).map((file): Part => ({
      path: `configs/${file.slice(file.lastIndexOf("/") + 1)}`,
      file,
      isConfig: true,
    })),
    { path: "agent.txt", make: () => agentText(runningAgent(), withSecrets) },
    tool(
      "logs/service.txt",
      "journalctl",
      "--unit=mesos-cni.service",
      "--lines=5000",
      "--no-pager",
    ),
    tool("logs/kernel.txt", "dmesg", "--ctime"),
  ];
}

/** The agent's flags as the call and its environment give them, for the programs that are called. */
function environmentOf(call: Call, path: string): Record<string, string> {
  const values = [
    ...FOUND_FLAGS.map((name) => [name, variable(`MESOS_${name.toUpperCase()}`)] as const),
    ...NETWORK_FLAGS.map(({ name }) => [name, call.given(name)] as const),
  ];
  const settings = values.flatMap(([name, value]) =>
    value === undefined ? [] : [[`MESOS_${name.toUpperCase()}`, value]]
  );
  return { ...Object.fromEntries(settings), PATH: path };
}

function agentText(agent: ReturnType<typeof runningAgent>, withSecrets: boolean): string {
  if (!agent) return "no Mesos agent runs here\n";
  const flags = [...agent.flags].map(([name, value]) =>
    withSecrets ? `--${name}=${value}` : flagWithoutSecrets(name, value)
  );
  return [`process ${agent.pid}`, ...flags.sort()].join("\n") + "\n";
}

function configFiles(directory = ""): string[] {
  return tried(() => [...Deno.readDirSync(directory)], [])
    .filter(({ isDirectory }) => !isDirectory)
    .map(({ name }) => join(directory, name)).sort();
}

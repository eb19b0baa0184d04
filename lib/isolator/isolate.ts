/** The second step of a container: its first process exists, and gets its networks. */
import { dirname } from "@std/path";
import { exists } from "../base/exists.ts";
import type { CatalogEntry } from "../cni/catalog.ts";
import { typesIn } from "../cni/config.ts";
import { findPlugin } from "../cni/find.ts";
import type { Result } from "../cni/result.ts";
import { joined, OperatorError } from "../base/error.ts";
import { type Handle, O_DIRECTORY, O_PATH, open, readProcFile } from "../kernel/files.ts";
import { inNamespaces, isOwnNamespace, type NamespaceKind } from "../kernel/namespaces.ts";
import { Netlink } from "../netlink/mod.ts";
import { identify, type ProcessIdentity } from "../kernel/process_identity.ts";
import { findInode, inodeOf, isGone } from "../kernel/proc.ts";
import { networkCookie } from "../kernel/socket.ts";
import { setHostname } from "../kernel/uts.ts";
import { type ContainerId, rootOf } from "../mesos/container_id.ts";
import { attach } from "./attach.ts";
import { writeCheckpoint } from "../kernel/atomic_file.ts";
import { type EtcFile, mountEtcFiles } from "./container_mounts.ts";
import type { Isolator } from "./isolator.ts";
import { holdNamespace } from "../containers/handles.ts";
import type { Layout } from "../containers/layout.ts";
import { defaultHostname, hostsFile, resolvConf } from "./network_files.ts";
import { viewpoint } from "../netlink/sight.ts";
import { readRequest, type Request, writeRequest } from "../containers/request.ts";
import { findWires } from "../containers/wires.ts";
import { shareContainersDirectory } from "./shared_directory.ts";
import { unlessRefused } from "../base/unless.ts";

/**
 * Connects a prepared container, whose process waits in the namespaces that `prepare` asked for.
 *
 * @param pid of the container's first process
 * @param signal ends the plugins that are at work
 * @throws {OperatorError} after which `cleanup` removes what was made
 */
export async function isolate(
  isolator: Isolator,
  id: ContainerId,
  pid: number,
  signal?: AbortSignal,
): Promise<void> {
  const { layout } = isolator.settings;
  const request = readRequest(layout, id);
  if (!request) {
    throw new OperatorError(
      "not_prepared",
      `container ${id} is not prepared: call prepare first (mesos-cni isolator prepare ${id})`,
    );
  }
  if (request.pid !== undefined) {
    throw new OperatorError(
      "isolated_twice",
      `container ${id} has its network already, as process ${request.pid}`,
    );
  }
  using process = openProcess(id, pid);
  const started = { ...request, ...identityOf(id, pid), agent: viewpoint() };
  checkNamespaces(id, started, process);
  if (request.mode === "own" && !request.test) checkNobodyElses(layout, id, started, process);
  if (request.mode !== "own") writeRequest(layout, id, started);
  const { mode, debug, rootfs } = request;
  if (mode === "own") return await connect(isolator, id, started, process, signal);
  if (debug) return;
  if (mode === "parent") bindFiles(layout, request, process, etcFilesOf(layout, rootOf(id)));
  else if (rootfs !== undefined) bindFiles(layout, request, process, hostFiles(), false);
}

type Started = Request & { pid: number };

/**
 * The directory of a process under /proc. It stays this process's: should it end while plugins are
 * at work, nothing is mounted in the namespaces of another that got its number.
 */
function openProcess(id: ContainerId, pid: number): Handle {
  return unlessGone(id, pid, () => open(`/proc/${pid}`, O_PATH | O_DIRECTORY));
}

function unlessGone<R>(id: ContainerId, pid: number, look: () => R): R {
  try {
    return look();
  } catch (error) {
    throw isGone(error) ? noProcess(id, pid) : error;
  }
}

function identityOf(id: ContainerId, pid: number): ProcessIdentity {
  const identity = identify(pid);
  if (identity) return identity;
  throw noProcess(id, pid);
}

function noProcess(id: ContainerId, pid: number): OperatorError {
  return new OperatorError("no_process", `container ${id}: there is no process ${pid}`);
}

function networkOf(id: ContainerId, pid: number, process: Handle): number {
  return unlessGone(id, pid, () => inodeOf(`${process.path}/ns/net`));
}

/** What is about to happen in the process's namespaces must not happen in the agent's. */
function checkNamespaces(id: ContainerId, request: Started, process: Handle): void {
  const { pid } = request;
  for (const kind of separateNamespaces(request)) {
    const handle = `${process.path}/ns/${kind}`;
    if (!unlessGone(id, pid, () => isOwnNamespace(handle, kind))) continue;
    throw new OperatorError(
      "agents_namespace",
      `container ${id}: process ${pid} is in the agent's own ${kind} namespace: start it in ` +
        `those that prepare asked for`,
    );
  }
}

/** By the cleanup of this one, another one of the same network would lose its interfaces. */
function checkNobodyElses(
  layout: Layout,
  id: ContainerId,
  { pid }: Started,
  process: Handle,
): void {
  if (unlessGone(id, pid, () => isUntouched(`${process.path}/ns/net`))) return;
  const netns = networkOf(id, pid, process);
  // A look at all mounts at once most often says enough: one at each container's handle costs more.
  if (!readProcFile("/proc/self/mountinfo").includes(` net:[${netns}] `)) return;
  const other = layout.listContainers().find((other) =>
    other !== id && findInode(layout.namespace(other)) === netns
  );
  if (other === undefined) return;
  throw new OperatorError(
    "isolated_twice",
    `container ${id}: process ${pid} is in the network of container ${other}: start it in one of its own`,
  );
}

/**
 * Whether nobody has begun to attach this network: from then on it has a number here, and once attached,
 * its lo is up. All mounts are looked at only where that leaves a doubt: the more containers, the more.
 */
function isUntouched(netns: string): boolean {
  using host = Netlink.open();
  if (!host.numberNamespace(netns)) return false;
  using inside = Netlink.open(netns);
  return !inside.link("lo").flags.includes("UP");
}

function separateNamespaces({ mode, debug, test, rootfs }: Request): NamespaceKind[] {
  if (mode === "own") return test ? ["mnt", "uts"] : ["mnt", "net", "uts"];
  const mounts = !debug && (mode === "parent" || rootfs !== undefined);
  return mounts ? ["mnt"] : [];
}

async function connect(
  isolator: Isolator,
  id: ContainerId,
  started: Started,
  process: Handle,
  signal: AbortSignal | undefined,
) {
  const { layout } = isolator.settings;
  const entries = started.networks.map(({ name }) => isolator.networks.read(name));
  const cookie = networkCookie(`${process.path}/ns/net`);
  const request = {
    ...started,
    netns: networkOf(id, started.pid, process),
    ...cookie === undefined ? {} : { netnsCookie: cookie },
    pluginDirs: pluginDirectories(isolator, entries),
  };
  writeRequest(layout, id, request);
  await shareContainersDirectory(layout);
  await holdNamespace(layout, id, process);
  const results = await attachAll(isolator, id, request, entries, signal);
  const netns = layout.namespace(id);
  using netlink = Netlink.open(netns);
  const attachments = request.networks.map(({ name, ifName }) => ({ network: name, ifName }));
  // A test network's plugins make nothing in the agent's own namespace that is the container's.
  if (!request.test) {
    writeRequest(layout, id, { ...request, wires: findWires(netlink, netns, attachments) });
  }
  checkNamespaces(id, request, process); // it may have ended while the plugins were at work
  const hostname = request.hostname ?? defaultHostname(id);
  bindFiles(layout, request, process, writeEtcFiles(isolator, id, request, hostname, results));
  inNamespaces({ uts: `${process.path}/ns/uts` }, () => setHostname(hostname));
  netlink.setLinkUp("lo");
}

/**
 * Where each plugin is, its address management and delegates included: DEL finds it there, whoever
 * calls it with whatever flags.
 */
function pluginDirectories(
  isolator: Isolator,
  entries: readonly Pick<CatalogEntry, "network">[],
): Record<string, string> {
  const types = entries.flatMap(({ network }) =>
    network.plugins.flatMap(({ raw }) => typesIn(raw))
  );
  return Object.fromEntries(
    types.flatMap((type) => {
      const find = () => findPlugin(type, isolator.searchPath());
      const file = isolator.isBuiltIn(type) ? unlessRefused(find) : find();
      return file === undefined ? [] : [[type, dirname(file)]];
    }),
  );
}

/**
 * All networks at the same time. Waits for each even when one has failed, so that no DEL
 * overtakes an ADD.
 */
async function attachAll(
  isolator: Isolator,
  id: ContainerId,
  { networks }: Request,
  entries: readonly CatalogEntry[],
  signal: AbortSignal | undefined,
): Promise<Result[]> {
  const outcomes = await Promise.allSettled(
    networks.map(({ name, ifName, networkInfo }, i) =>
      attach(isolator, id, { network: name, ifName }, networkInfo, entries[i]!, signal)
    ),
  );
  const failures = outcomes.filter((outcome) => outcome.status === "rejected")
    .map((outcome) => outcome.reason);
  if (failures.length > 0) throw joined(failures);
  return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<Result>).value);
}

function writeEtcFiles(
  { settings: { layout, defaultDns } }: Isolator,
  id: ContainerId,
  { networks }: Request,
  hostname: string,
  results: readonly Result[],
): EtcFile[] {
  const directory = layout.container(id);
  const resolv = resolvConf(
    networks.map(({ name }, i) => ({ name, dns: results[i]!.dns })),
    defaultDns,
  );
  const write = (name: string, text: string) => writeCheckpoint(`${directory}/${name}`, text);
  write("hostname", `${hostname}\n`);
  write("hosts", hostsFile(hostname, results));
  if (resolv !== undefined) write("resolv.conf", resolv);
  return etcFilesOf(layout, id);
}

const NAMES = ["hosts", "hostname", "resolv.conf"] as const;

/** The files of a container with a network of its own; the agent's where it has none. */
function etcFilesOf(layout: Layout, id: ContainerId): EtcFile[] {
  const own = NAMES.map((name) => ({
    name,
    source: `${layout.container(id)}/${name}`,
    readOnly: false,
  })).filter(({ source }) => exists(source));
  return [...own, ...hostFiles().filter(({ name }) => !own.some((file) => file.name === name))];
}

function hostFiles(): EtcFile[] {
  return NAMES.map((name) => ({ name, source: `/etc/${name}`, readOnly: true }))
    .filter(({ source }) => exists(source));
}

function bindFiles(
  { containers }: Layout,
  { rootfs }: Request,
  process: Handle,
  files: EtcFile[],
  overHost = true,
): void {
  mountEtcFiles(process, { files, overHost, rootfs, containers });
}

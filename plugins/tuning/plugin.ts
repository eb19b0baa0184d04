/**
 * tuning: settings of the container's network and interface (the reference's plugins/meta/tuning).
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { Result } from "../../lib/cni/result.ts";
import { removeCheckpoint } from "../../lib/kernel/atomic_file.ts";
import { readSysctl, setSysctl, withSysctlsOf } from "../../lib/kernel/sysctl.ts";
import { setLink } from "../../lib/netlink/link_changes.ts";
import { type LinkDescription, Netlink } from "../../lib/netlink/mod.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { ownInterface } from "../shared/marks.ts";
import { openNamespace } from "../shared/namespace.ts";
import {
  type Call,
  type LiveCall,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { undoingOnFailure } from "../shared/undo.ts";
import { backupFile, backupOf, readBackup, settingsOf, writeBackup } from "./backup.ts";
import { dataDirOf, readTuningConfig, type TuningConfig } from "./config.ts";

export const tuning: Plugin = standardPlugin({ add, del, check });

async function add(call: LiveCall): Promise<Result> {
  const config = readTuningConfig(call);
  const result = requirePrevResult(call);
  // Open until all is undone, should it come to that.
  using container = Netlink.open(call.netns);
  return await undoingOnFailure((undo) => {
    const changes = separately(config);
    if (changes.length > 0) {
      const before = requireLink(container, call);
      const { link } = before;
      const backup = backupOf(config, before);
      const file = backupFile(config.dataDir, call);
      undo(() => removeCheckpoint(file));
      writeBackup(file, backup);
      undo(() => setNow(call.netns, link.index, settingsOf(backup)));
      // One after the other, since the kernel may refuse each for reasons of its own.
      for (const settings of changes) {
        container.change(setLink(link.index, link.name, settings));
      }
    }
    const before = new Map<string, string>();
    undo(() => writeAll(call.netns, before));
    withSysctlsOf(call.netns, () => {
      for (const [path, value] of config.sysctls) {
        before.set(path, readSysctl(path));
        setSysctl(path, value);
      }
      return undefined;
    });
    return withMac(result, call, config);
  });
}

function separately(config: TuningConfig) {
  const { mac, promiscuous, mtu, allMulticast, txQueueLength } = config;
  return [
    ...mac === undefined ? [] : [{ mac }],
    ...promiscuous ? [{ promiscuous }] : [],
    ...mtu === undefined ? [] : [{ mtu }],
    ...allMulticast === undefined ? [] : [{ allMulticast }],
    ...txQueueLength === undefined ? [] : [{ txQueueLength }],
  ];
}

function setNow(netns: string, index: number, settings: ReturnType<typeof settingsOf>): void {
  using container = Netlink.open(netns);
  container.change(setLink(index, "the interface", settings));
}

function writeAll(netns: string, values: ReadonlyMap<string, string>): void {
  withSysctlsOf(netns, () => {
    for (const [path, value] of values) setSysctl(path, value);
    return undefined;
  });
}

function requireLink(container: Netlink, { ifName }: Call): LinkDescription {
  const found = container.describeLink(ifName);
  if (found) return found;
  throw wrong(`the container has no interface ${ifName}: tuning follows the plugin that makes it`);
}

function withMac(result: Result, { ifName }: Call, { mac }: TuningConfig): Result {
  if (mac === undefined) return result;
  const interfaces = result.interfaces.map((one) => one.name === ifName ? { ...one, mac } : one);
  return { ...result, interfaces };
}

async function del(call: Call): Promise<void> {
  const file = backupFile(dataDirOf(call), call);
  const settings = readBackup(file);
  if (settings !== undefined) {
    using container = openNamespace(call.netns);
    const link = container && await ownInterface(call, container);
    if (link) container!.change(setLink(link.index, link.name, settings));
  }
  removeCheckpoint(file); // also of a write that was cut off
}

function check(call: LiveCall): void {
  const config = readTuningConfig(call);
  requirePrevResult(call);
  withSysctlsOf(call.netns, () => {
    for (const [path, value] of config.sysctls) {
      const now = readSysctl(path);
      if (now !== value) throw wrong(`${path} is ${JSON.stringify(now)}, and was set to ${value}`);
    }
    return undefined;
  });
  using container = Netlink.open(call.netns);
  const { link, promiscuity, txQueueLength } = requireLink(container, call);
  const compare = (what: string, now: unknown, wanted: unknown) => {
    if (wanted !== undefined && now !== wanted) {
      throw wrong(`the ${what} of ${link.name} is ${now}, and was set to ${wanted}`);
    }
  };
  compare("hardware address", link.mac, config.mac);
  compare("promiscuous mode", promiscuity > 0, config.promiscuous);
  compare("MTU", link.mtu, config.mtu);
  compare("all-multicast mode", link.flags.includes("ALLMULTI"), config.allMulticast);
  compare("transmit queue", txQueueLength, config.txQueueLength);
}

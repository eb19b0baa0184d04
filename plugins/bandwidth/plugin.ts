/**
 * bandwidth: how much the container may receive and send (the reference's plugins/meta/bandwidth).
 * What it receives is limited where it leaves the host's end of the wire; what it sends is
 * redirected to a device (ifb) whose only purpose is to be limited.
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { Result } from "../../lib/cni/result.ts";
import { readProcFile } from "../../lib/kernel/files.ts";
import { namespaceAt } from "../../lib/kernel/namespaces.ts";
import { sayAnothers } from "../../lib/netlink/attached_network.ts";
import { addLink, setLink } from "../../lib/netlink/link_changes.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import {
  addIngress,
  addRedirection,
  addTokenBucket,
  deleteIngress,
  deleteTokenBucket,
  type TokenBucket,
} from "../../lib/netlink/traffic_changes.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { hashOf } from "../../lib/base/hash.ts";
import {
  type Call,
  type LiveCall,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { undoingOnFailure } from "../shared/undo.ts";
import { SINCE } from "../shared/since.ts";
import { removeLink } from "../shared/veth.ts";
import { type Limit, readBandwidth } from "./config.ts";

export const bandwidth: Plugin = standardPlugin({ since: SINCE.bandwidth, add, del, check });

/** How long, in s, a packet may wait. */
const LATENCY = 0.025;

async function add(call: LiveCall): Promise<Result> {
  const { ingress, egress } = readBandwidth(call);
  const result = requirePrevResult(call);
  if (!ingress && !egress) return result;
  using host = Netlink.open();
  const device = await deviceName(call);
  return await undoingOnFailure((undo) => {
    const end = hostEnd(host, call, result);
    if (ingress) {
      host.change(addTokenBucket(end.index, bucketOf(ingress)));
      undo(() => host.change(deleteTokenBucket(end.index)));
    }
    if (!egress) return result;
    host.change(addLink({
      name: device,
      kind: { kind: "ifb" },
      mtu: end.mtu,
      txQueueLength: 0,
      up: true,
    }));
    undo(() => removeLink(host, host.findLink(device)));
    const ifb = host.link(device);
    host.change(setLink(ifb.index, device, { alias: `${end.index}` }));
    host.change(addIngress(end.index));
    undo(() => host.change(deleteIngress(end.index)));
    host.change(addRedirection(end.index, ifb.index));
    host.change(addTokenBucket(ifb.index, bucketOf(egress)));
    const made = { name: device, ...ifb.mac ? { mac: ifb.mac } : {} };
    return { ...result, interfaces: [...result.interfaces, made] };
  });
}

async function del(call: Call): Promise<void> {
  using host = Netlink.open();
  const device = host.findLink(await deviceName(call));
  if (device && isAnothers(host, device, call)) return sayAnothers(call);
  await removeLink(host, device);
}

/**
 * Whether a device is of another container of the call's id: the host's end of the wire that it limits, whose
 * index is its alias, is there, as long as its other end is, and that is in another namespace than the call's.
 */
function isAnothers(host: Netlink, { alias }: Link, { netns }: Call): boolean {
  const wire = host.links().find(({ index }) => `${index}` === alias);
  if (wire?.peerNamespaceId === undefined || netns === undefined) return false;
  if (namespaceAt(netns) === undefined) return false;
  return host.namespaceId(netns) !== wire.peerNamespaceId;
}

async function check(call: LiveCall): Promise<void> {
  const { ingress, egress } = readBandwidth(call);
  const result = requirePrevResult(call);
  using host = Netlink.open();
  const end = hostEnd(host, call, result);
  if (ingress) verify(host, end, ingress);
  if (!egress) return;
  const device = await deviceName(call);
  const ifb = host.findLink(device);
  if (!ifb) throw wrong(`the device ${device}, by which ${call.ifName} is limited, is gone`);
  verify(host, ifb, egress);
}

function verify(host: Netlink, { index, name }: Link, limit: Limit): void {
  const wanted = bucketOf(limit);
  const found = host.tokenBucketOf(index);
  if (!found) throw wrong(`${name} is not limited any more`);
  if (
    found.rate !== wanted.rate || found.limit !== wanted.limit || found.buffer !== wanted.buffer
  ) {
    throw wrong(`${name} is limited to another rate than ${limit.rate} bits a second`);
  }
}

/** The host's end of the container's wire, which the plugin before made. @throws {CniError} */
function hostEnd(host: Netlink, { netns, ifName }: LiveCall, { interfaces }: Result): Link {
  using container = Netlink.open(netns);
  const inside = container.findLink(ifName);
  const ends = interfaces.filter(({ sandbox }) => sandbox === undefined)
    .map(({ name }) => host.findLink(name));
  const end = inside && ends.find((link) => link?.index === inside.peerIndex);
  if (end) return end;
  throw wrong(`the host's end of ${ifName} is not in prevResult: bandwidth follows bridge or ptp`);
}

async function deviceName({ network, containerId }: Call): Promise<string> {
  return `bwp${await hashOf(network + containerId, 12)}`;
}

function bucketOf({ rate, burst }: Limit): TokenBucket {
  const [bytes, bucket] = [Math.floor(rate / 8), Math.floor(burst / 8)];
  const microseconds = Math.floor((bucket * 1_000_000) / bytes) >>> 0;
  return {
    rate: BigInt(bytes),
    limit: (Math.floor(bytes * LATENCY) + bucket) >>> 0,
    buffer: Math.floor(microseconds * ticksInMicrosecond()) >>> 0,
  };
}

/** Of the packet scheduler's clock (/proc/net/psched). */
function ticksInMicrosecond(): number {
  const [perTick, ticks, resolution] = readProcFile("/proc/net/psched").split(/\s+/)
    .map((word) => parseInt(word, 16)) as [number, number, number];
  return (perTick / ticks) * (resolution / 1_000_000);
}

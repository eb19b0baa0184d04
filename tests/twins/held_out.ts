/**
 * More twins, written by somebody who did not see the plugins, as data: a case a line of
 * held_out.jsonl. They were written for the newest release of the reference (./dev twins); those with
 * `debians` come to the same with Debian's.
 */
import type { JsonObject } from "../../lib/base/json.ts";
import { sample } from "../harness/scale.ts";
import { type Differs, DIR, NS1, NS2, type Release, type Step, type Twin } from "./case.ts";

/** The cases in which ours does something else on purpose: which exceptions are seen at which steps. */
const DIFFERS: Readonly<Record<string, Differs>> = {
  "bandwidth-check-tampered": { "CHECK sees the limit on the host": [4] },
  "bandwidth-two-interfaces": { "what a failed ADD changed is as before": [3] },
  "bridge-default-route-without-gw": {
    "a default route said twice": [0],
    "a failed ADD leaves the bridge": [0],
  },
  "bridge-del-interface-gone": { "DEL finds what was made": [2] },
  "bridge-dual-nftables": { "no empty tables": [3, 4] },
  "bridge-force-address-v6": { "a failed ADD leaves nothing": [1, 2] },
  "bridge-ifname-taken": { "a failed ADD leaves nothing": [1, 2] },
  "bridge-ipam-bad-config": { "a failed ADD leaves nothing": [0, 1], "DEL of nothing": [1] },
  "bridge-ipam-fails": { "a failed ADD leaves nothing": [1] },
  "bridge-ipam-missing": { "a failed ADD leaves nothing": [0, 1] },
  "bridge-mac-args": { "a failed ADD leaves nothing": [0, 1, 2] },
  "bridge-mac-bad": {
    "a failed ADD leaves nothing": [0],
    "an ADD asks for addresses first": [1, 2, 3],
    "a failed ADD leaves the bridge": [1, 2],
  },
  "bridge-mac-runtime": { "a failed ADD leaves nothing": [0] },
  "bridge-masq-backend-iptables": { "a failed ADD leaves nothing": [1] },
  "bridge-mtu-bad": { "an ADD asks for addresses first": [0, 1, 2, 3] },
  "bridge-netns-empty-del": { "DEL finds what was made": [1] },
  "bridge-netns-file": {
    "a failed ADD leaves nothing": [1, 2],
    "DEL of nothing": [2],
    "an ADD asks for addresses first": [2],
  },
  "bridge-netns-gone": { "DEL finds what was made": [2] },
  "bridge-netns-missing": { "a failed ADD leaves nothing": [0, 1] },
  "bridge-other-address": { "a failed ADD leaves nothing": [1] },
  "bridge-routes-1.1.0": {
    "a failed ADD leaves nothing": [0, 1],
    "a failed ADD leaves the bridge": [0, 1, 2],
  },
  "bridge-two-v4": { "a failed ADD leaves nothing": [0] },
  "bridge-routes-1.1.0-fit": { "CHECK looks into the route's table": [1] },
  "bridge-two-v4-no-gateway": { "DEL of nothing": [1] },
  "bridge-vlan": { "an ADD asks for addresses first": [0, 1, 2, 3] },
  "bridge-vlan-existing-unfiltered": {
    "a failed ADD leaves nothing": [1],
    "an ADD asks for addresses first": [1],
  },
  "cni-args-unknown": { "DEL of nothing": [2], "DEL finds what was made": [2] },
  "firewall-policy-open": { "a failed ADD leaves nothing": [4], "DEL of nothing": [5] },
  "firewall-same-bridge-no-interface": { "a failed ADD leaves nothing": [0] },
  "gc-status-host-local": { "GC makes no store": [1, 2, 3] },
  "host-device-0.2.0": { "DEL of nothing": [3] },
  "host-device-0.3.1": { "DEL of nothing": [3] },
  "host-device-0.4.0": { "DEL of nothing": [4] },
  "host-device-1.0.0": { "DEL of nothing": [4] },
  "host-device-1.1.0": { "DEL of nothing": [4] },
  "host-device-host-name-taken": { "the host has taken the device's name": [3] },
  "host-device-ifname-taken": { "what a failed ADD changed is as before": [2] },
  "host-device-ipam-fails": {
    "a failed ADD leaves nothing": [1],
    "what a failed ADD changed is as before": [1],
  },
  "host-device-missing": { "DEL of nothing": [1, 3] },
  "host-device-netns": { "DEL of nothing": [2] },
  "host-local-args-cni-ips": { "a failed ADD leaves the mark": [1, 2, 3] },
  "host-local-args-ip": { "a failed ADD leaves the mark": [2, 3, 4] },
  "host-local-args-ip-edges": { "a failed ADD leaves the mark": [0, 1] },
  "host-local-bad-0": { "DEL of nothing": [1] },
  "host-local-bad-1": { "DEL of nothing": [1] },
  "host-local-bad-10": { "DEL of nothing": [1] },
  "host-local-bad-11": { "DEL of nothing": [1] },
  "host-local-bad-12": { "DEL of nothing": [1] },
  "host-local-bad-14": { "DEL of nothing": [1] },
  "host-local-bad-15": { "DEL of nothing": [1] },
  "host-local-bad-2": { "DEL of nothing": [1] },
  "host-local-bad-3": { "DEL of nothing": [1] },
  "host-local-bad-4": { "DEL of nothing": [1] },
  "host-local-bad-5": { "DEL of nothing": [1] },
  "host-local-bad-6": { "DEL of nothing": [1] },
  "host-local-bad-7": { "DEL of nothing": [1] },
  "host-local-bad-8": { "DEL of nothing": [1] },
  "host-local-bad-9": { "DEL of nothing": [1] },
  "host-local-partly-exhausted": { "a failed ADD leaves the mark": [1] },
  "host-local-runtime-ips": { "a failed ADD leaves the mark": [2] },
  "host-local-no-ipam": { "DEL of nothing": [2] },
  "ipvlan-mistakes": { "a failed ADD is in the way of none": [3, 4] },
  "list-versions-mixed": { "a result of another version": [1, 2] },
  "loopback-not-a-namespace": { "DEL of nothing": [2] },
  "loopback-own-namespace": { "the host's own namespace": [0] },
  "dummy-mistakes": { "DEL finds what was made": [3] },
  "macvlan-0.2.0": { "DEL finds what was made": [5] },
  "macvlan-0.3.1": { "DEL finds what was made": [5] },
  "macvlan-0.4.0": { "DEL finds what was made": [6] },
  "macvlan-1.0.0": { "DEL finds what was made": [6] },
  "macvlan-1.1.0": { "DEL finds what was made": [6] },
  "macvlan-ipam-fails": { "a failed ADD leaves nothing": [1] },
  "portmap-conditions-bad": { "no empty tables": [1, 2] },
  "portmap-del-no-mappings": { "DEL without mappings": [2] },
  "portmap-extchain": { "no mark is needed": [2] },
  "portmap-hostip-bad": {
    "a mapping that leads nowhere": [1, 2],
    "no empty tables": [1, 2, 3, 4, 5],
  },
  "portmap-nftables-hostip": { "no conditions with nftables": [1, 2] },
  "portmap-nosnat": { "without snat, not from loopback": [1, 2] },
  "portmap-ports-bad": { "no empty tables": [4, 5, 6] },
  "portmap-prevresult-foreign": {
    "a mapping that leads nowhere": [0, 1, 2, 3],
    "no empty tables": [0, 1, 2, 3],
  },
  "portmap-protocols": { "a mapping that leads nowhere": [7, 8] },
  "ptp-mistakes": { "a failed ADD leaves nothing": [0, 1, 2, 3, 4] },
  "ptp-netns-gone": { "DEL finds what was made": [2] },
  "ptp-nftables": { "no empty tables": [2] },
  "ptp-no-ipam": { "DEL of nothing": [1] },
  "ptp-prefix-32": { "a failed ADD leaves nothing": [0, 1] },
  "ptp-routes-1.1.0": { "CHECK looks into the route's table": [1] },
  "ptp-static-no-gateway": { "a failed ADD leaves nothing": [0, 1] },
  "sbr-del-interface-gone": { "DEL of sbr without the interface": [3] },
  "sbr-mistakes": { "DEL of nothing": [6] },
  "tuning-mac-bad": { "what a failed ADD changed is as before": [1, 2, 3] },
  "tuning-unchained": { "what a failed ADD changed is as before": [4, 5, 6, 7] },
  "vlan-mistakes": { "an ADD asks for addresses first, of a VLAN that is taken": [7] },
};

/** Of those for Debian's, the suite takes about so many; all take minutes. */
const SAMPLED = 30;

/** The cases that a kernel like this one can do, or those for a machine, with a release as the judge. */
export function heldOutCases(release: Release, where: "here" | "machine"): Twin[] {
  const text = Deno.readTextFileSync(new URL("held_out.jsonl", import.meta.url));
  const all: JsonObject[] = text.split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(placed(line)))
    .filter(({ needs }) => String(needs ?? "").includes("vm") === (where === "machine"));
  const debians = all.filter(({ debians }) => debians);
  const chosen = release === "newest" ? all : where === "here" ? sample(debians, SAMPLED) : debians;
  return chosen.map((one): Twin => {
    const differs = DIFFERS[String(one.id)];
    return {
      id: `held-out ${one.id}`,
      type: String(one.type),
      ...differs === undefined ? {} : { differs },
      steps: one.steps as unknown as Step[],
    };
  });
}

function placed(line: string): string {
  return line.replaceAll("$NETNS1", NS1).replaceAll("$NETNS2", NS2).replaceAll("$DIR", DIR);
}

/**
 * More twins, written by somebody who did not see the plugins, as data: a case a line of
 * held_out.jsonl. They were written for the newest release of the reference (TWINS_REFERENCE);
 * those with `debians` come to the same with Debian's.
 */
import type { JsonObject } from "../../lib/base/json.ts";
import { sample } from "../harness/scale.ts";
import { DIR, NS1, NS2, type Step, type Twin } from "./case.ts";

/** The cases that come to something else on purpose, by the reason. */
const DIFFERENT: Readonly<Record<string, readonly string[]>> = {
  "an ADD that fails leaves nothing; DEL finds the wire on the host too": [
    "cni-args-unknown",
    "bridge-masq-backend-iptables",
    "bridge-routes-1.1.0",
    "bridge-two-v4",
    "bridge-other-address",
    "bridge-force-address-v6",
    "bridge-vlan-existing-unfiltered",
    "bridge-mac-args",
    "bridge-mac-runtime",
    "bridge-mac-bad",
    "bridge-ifname-taken",
    "bridge-netns-missing",
    "bridge-netns-empty-del",
    "bridge-netns-file",
    "bridge-ipam-missing",
    "bridge-ipam-fails",
    "bridge-ipam-bad-config",
    "ptp-static-no-gateway",
    "ptp-prefix-32",
    "macvlan-ipam-fails",
    "host-device-ipam-fails",
  ],
  "DEL of what ADD refused, or without a namespace, is a success, and so is CHECK without ipam": [
    "bridge-l2",
    "bridge-l2-disabled-interface",
    "bridge-default-route-without-gw",
    "bridge-two-v4-no-gateway",
    "ptp-no-ipam",
    "loopback-not-a-namespace",
    "host-local-bad-0",
    "host-local-bad-1",
    "host-local-bad-2",
    "host-local-bad-3",
    "host-local-bad-4",
    "host-local-bad-5",
    "host-local-bad-6",
    "host-local-bad-7",
    "host-local-bad-8",
    "host-local-bad-9",
    "host-local-bad-10",
    "host-local-bad-11",
    "host-local-bad-12",
    "host-local-bad-14",
    "host-local-bad-15",
    "host-local-no-ipam",
    "tuning-sysctl-conflict",
    "host-device-0.2.0",
    "host-device-0.3.1",
    "host-device-0.4.0",
    "host-device-1.0.0",
    "host-device-1.1.0",
    "host-device-missing",
    "host-device-netns",
    "sbr-mistakes",
  ],
  "DEL makes no table of iptables only to look for rules that nftables has": [
    "bridge-dual-nftables",
    "ptp-nftables",
  ],
  "DEL of a device whose name the host has taken leaves it as it is in the container": [
    "host-device-host-name-taken",
  ],
  "a failed ADD changes no setting or file, and CHECK sees more": [
    "bridge-mtu-bad",
    "bridge-vlan",
    "ptp-mistakes",
    "loopback-own-namespace",
    "tuning-mac-bad",
    "tuning-unchained",
    "bandwidth-check-tampered",
    "bandwidth-two-interfaces",
    "host-device-ifname-taken",
    "sbr-del-interface-gone",
  ],
  "DEL removes rules without the interface or the namespace": [
    "bridge-netns-gone",
    "bridge-del-interface-gone",
    "ptp-netns-gone",
    "firewall-policy-open",
    "firewall-same-bridge-no-interface",
  ],
  "portmap's rules are the port mapper's own, with its reservation": [
    "list-bridge-portmap-firewall-tuning-bandwidth",
    "list-ptp-portmap",
    "list-reboot",
    "portmap-0.2.0",
    "portmap-0.3.1",
    "portmap-0.4.0",
    "portmap-1.0.0",
    "portmap-1.1.0",
    "portmap-dual",
    "portmap-ipv6",
    "portmap-nftables",
    "portmap-nftables-hostip",
    "portmap-nftables-nosnat",
    "portmap-backend-unknown",
    "portmap-nosnat",
    "portmap-masqall",
    "portmap-markbit",
    "portmap-extchain",
    "portmap-conditions",
    "portmap-conditions-bad",
    "portmap-hostip",
    "portmap-hostip-bad",
    "portmap-sctp",
    "portmap-protocols",
    "portmap-many",
    "portmap-same-port-twice",
    "portmap-ports-bad",
    "portmap-two-containers",
    "portmap-add-twice",
    "portmap-check-tampered",
    "portmap-del-no-mappings",
    "portmap-prevresult-foreign",
    "portmap-hostname-args",
    "list-versions-mixed",
  ],
};

/** Of those for Debian's, the suite takes about so many; all take minutes. */
const SAMPLED = 30;

/** The cases that this kernel can do, with Debian's release as the judge or with the newest. */
export function heldOutCases(isDebians: boolean): Twin[] {
  const reasons = new Map(
    Object.entries(DIFFERENT).flatMap(([why, ids]) => ids.map((id) => [id, why] as const)),
  );
  const text = Deno.readTextFileSync(new URL("held_out.jsonl", import.meta.url));
  const all: JsonObject[] = text.split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(placed(line)))
    .filter(({ needs }) => !String(needs ?? "").includes("vm"));
  const chosen = isDebians ? sample(all.filter(({ debians }) => debians), SAMPLED) : all;
  return chosen
    .map((one: JsonObject): Twin => {
      const why = reasons.get(String(one.id));
      return {
        id: `held-out ${one.id}`,
        type: String(one.type),
        ...why === undefined ? {} : { differs: { lines: [""], why } },
        steps: one.steps as unknown as Step[],
      };
    });
}

function placed(line: string): string {
  return line.replaceAll("$NETNS1", NS1).replaceAll("$NETNS2", NS2).replaceAll("$DIR", DIR);
}

/** What the kernel counted while the packet was lost: refusals of IPsec, and of translation. */
import { within } from "../../base/ip.ts";
import { cause } from "../../facts/cause.ts";
import { givenTo } from "../../facts/scene.ts";
import type { Evidence } from "../evidence.ts";
import { ruleThat } from "./changing_rule.ts";
import type { Reader } from "./reader.ts";

/** The names of numbers that grew in the agent's namespace. */
function grownStats({ grown }: Evidence): string[] {
  return grown.flatMap((one) => one.kind === "stat" && one.netns === undefined ? [one.name] : []);
}

/** A policy that selects the packet or its answer, and refuses it or has no state to protect it by. */
export const ipsec: Reader = async (e) => {
  const counted = grownStats(e).filter((name) => name.startsWith("Xfrm"));
  if (counted.length === 0) return [];
  const { scene, question, sightings } = e;
  const { family } = question;
  const ends = [
    question.destination,
    ...sightings.flatMap(({ packet }) => [packet.source, packet.destination]),
    ...scene.interfaces.flatMap((one) => givenTo(one, family)?.address ?? []),
    scene.uplink(family)?.agentAddress,
  ].filter((one) => one?.includes(":") === (family === 6));
  const policy = (await e.kernel.ipsecPolicies()).find((line) => {
    const [, source, destination] = /^src (\S+) dst (\S+)/.exec(line) ?? [];
    return [source, destination].every((one) =>
      one !== undefined && one.includes(":") === (family === 6) &&
      ends.some((address) => within(address!, one))
    );
  });
  if (policy === undefined) return [];
  const why = / action block/.test(policy) ? "block" : undefined;
  return [cause("xfrm_drop", ["xfrm", "agent"], { route: policy, why }, [
    `/proc/net/xfrm_stat: ${counted.join(", ")} grew`,
  ])];
};

/** A rule translates to ports of which none is left: the connection can't be told from another one. */
export const portsUsedUp: Reader = async (e) => {
  const { before, after } = e.trail;
  // It was translated when it was dropped, so the kernel's word of that is not known to be of it.
  const isUsedUp = grownStats(e).includes("insert_failed") && before?.direction === "in" &&
    after?.direction === "out";
  if (!isUsedUp) return [];
  const rule = (await ruleThat(e, "snat"))?.ref;
  const seen = ["insert_failed of /proc/net/stat/nf_conntrack grew"];
  return rule ? [cause("nat_ports_used_up", ["conntrack", "agent"], { rule }, seen)] : [];
};

/**
 * Rules that are named after an attachment, as the reference's plugins write them (pkg/ip, pkg/utils,
 * portmap), so that either can undo what the other made: a chain of the nat table for each, whose
 * name is a hash, and a comment with both names.
 */
import { hashOf } from "../base/hash.ts";
import { FAMILIES, familyOfKnown, within } from "../base/ip.ts";
import { type FirewallRule, jumpOf, network, type Place, single } from "./rule.ts";
import { LONGEST_COMMENT } from "../nft/compat.ts";
import { PORTS_CHAIN, removeTablePorts } from "./led_ports.ts";
import { attachedComment, namedIn, type Owner } from "./owner.ts";
import type { Kind } from "./tool.ts";
import { completing, type FirewallChange, type FirewallView, type Plan } from "./view.ts";

/** What the names are made of. */
export type Attached = Omit<Owner, "ifName">;

/** Longest name of a chain that iptables takes. */
const CHAIN_LENGTH = 28;
/** Containers may reach others of their network by multicast as who they are. */
export const MULTICAST = { 4: "224.0.0.0/4", 6: "ff00::/8" } as const;

/** `CNI-`, a prefix and as much of the hash as fits. */
async function chainName({ network, containerId }: Attached, prefix = ""): Promise<string> {
  const start = `CNI-${prefix}`;
  return start + await hashOf(network + containerId, CHAIN_LENGTH - start.length);
}

/** What each of the reference's plugins has of an attachment: its chain, and where that is jumped to. */
interface Own {
  chain: string;
  comment: string;
  /** The chain that the jumps are in. */
  from: string;
}

async function masqueradeOf(attached: Attached): Promise<Own> {
  const chain = await chainName(attached);
  return { chain, comment: attachedComment(attached), from: "POSTROUTING" };
}

async function portsOf(attached: Attached): Promise<Own> {
  const comment = `dnat ${attachedComment(attached)}`;
  return {
    chain: await chainName(attached, "DN-"),
    comment: comment.length <= LONGEST_COMMENT ? comment : `${comment.slice(0, 253)}...`,
    from: PORTS_CHAIN,
  };
}

/**
 * Masquerades what these addresses send out of their networks.
 *
 * @param addresses with prefix lengths
 */
export async function addMasquerade(
  attached: Attached,
  addresses: readonly string[],
): Promise<Plan> {
  const { chain, comment, from } = await masqueradeOf(attached);
  return (view) =>
    FAMILIES.flatMap((family) => {
      const own = addresses.filter((address) => familyOfKnown(address) === family);
      if (own.length === 0) return [];
      const at = (chain: string): Place => ({ family, table: "nat", chain });
      const multicast = network(MULTICAST[family], true);
      const rules = own.flatMap((address): FirewallRule[] => [
        { ...at(chain), destination: network(address), target: { verdict: "ACCEPT" } },
        { ...at(chain), destination: multicast, target: { masquerade: true } },
        { ...at(from), source: single(address.split("/")[0]!), target: { jump: chain } },
      ]);
      // Several addresses of a family share the rule about multicast.
      const wanted = rules.map((rule) => ({ add: { ...rule, comment } }));
      return completing(view, [{ addChain: at(chain) }, ...wanted]);
    });
}

/** Whether what an attachment sends from an address is masqueraded by its own rules. */
export function isMasqueraded(attached: Attached, view: FirewallView, address: string): boolean {
  const at = (chain: string): Place => ({ family: familyOfKnown(address), table: "nat", chain });
  // A chain that nothing jumps to masquerades nothing. Its name is a hash, which takes longer than to look.
  return view.withComment(at("POSTROUTING"), [attachedComment(attached)]).some((rule) => {
    const { source } = rule;
    const chain = jumpOf(rule);
    return chain !== undefined && source && !source.not &&
      within(address, `${source.address}/${source.prefixLength}`) &&
      view.rules(at(chain)).length > 0;
  });
}

/** What has a chain for each attachment: `ipMasq`, and ports by the reference's portmap. */
const OWNED = { masquerade: masqueradeOf, ports: portsOf };

/**
 * Removes what an attachment has of these in one kind of iptables, whichever its addresses were; with
 * ports by portmap, also those in its table of nf_tables.
 */
export async function removeAttached(
  attached: Attached,
  ...what: readonly (keyof typeof OWNED)[]
): Promise<(view: FirewallView, kind: Kind) => FirewallChange[]> {
  const all = await Promise.all(what.map((one) => OWNED[one](attached)));
  return (view, kind) => [
    ...FAMILIES.flatMap((family) =>
      all.flatMap(({ chain, comment, from }): FirewallChange[] => {
        const own: Place = { family, table: "nat", chain };
        // Without the chain there are no jumps to it, for which all of `from` would be read.
        if (!view.hasChain(own)) return [];
        const jumps = view.withComment({ ...own, chain: from }, [comment]);
        return [...jumps.map((remove) => ({ remove })), { removeChain: own }];
      })
    ),
    ...what.includes("ports") && kind === "nf_tables" ? removeTablePorts(attached.containerId) : [],
  ];
}

/** The attachments that are masqueraded by a chain, whoever wrote it, with what they send from. */
export function listMasqueraded(view: FirewallView): (Attached & { addresses: Set<string> })[] {
  const rules = FAMILIES.flatMap((family) =>
    view.rules({ family, table: "nat", chain: "POSTROUTING" })
  ).filter(({ comment, source }) => source && namedIn(comment)?.network !== undefined);
  return [...Map.groupBy(rules, ({ comment }) => comment)].map(([comment, own]) => ({
    ...namedIn(comment) as Attached,
    addresses: new Set(own.map(({ source }) => source!.address)),
  }));
}

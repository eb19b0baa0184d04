/** What the portmap of containernetworking/plugins left of a container, in either of its backends. */
import { applyInSlices, NFNL_SUBSYS_NFTABLES } from "../../lib/nft/batch.ts";
import { deleteRule } from "../../lib/nft/changes.ts";
import { IptablesTables } from "../../lib/nft/iptables_tables.ts";
import { Rules } from "../../lib/nft/rules.ts";
import { chainName } from "../shared/names.ts";
import type { Call } from "../shared/standard_plugin.ts";

const TOP_CHAIN = "CNI-HOSTPORT-DNAT";
const NFTABLES_TABLE = "cni_hostport";
const NFTABLES_CHAINS = ["hostports", "hostip_hostports", "masquerading"];
const LONGEST_COMMENT = 255;

/** @throws {SystemError} */
export async function removeReferenceRules({ network, containerId }: Call): Promise<void> {
  const chain = await chainName(network, containerId, "DN-");
  const comment = `dnat name: "${network}" id: "${containerId}"`;
  const shortened = comment.length <= LONGEST_COMMENT ? comment : `${comment.slice(0, 253)}...`;
  for (const family of [4, 6] as const) {
    const tables = new IptablesTables(family);
    tables.change(() => {
      if (!tables.rules.hasChain("nat", chain)) return [];
      return [
        ...tables.rules.withComment("nat", TOP_CHAIN, [shortened])
          .map((rule) => ({ delete: "rule", rule } as const)),
        { flush: "chain", table: "nat", chain },
        { delete: "chain", table: "nat", chain },
      ];
    }, `remove the rules of portmap for ${containerId}`);
  }
  for (const family of ["ip", "ip6"] as const) {
    const rules = new Rules(family);
    if (!rules.hasTable(NFTABLES_TABLE)) continue;
    const own = NFTABLES_CHAINS.flatMap((name) =>
      rules.withComment(NFTABLES_TABLE, name, [containerId])
    );
    if (own.length === 0) continue;
    applyInSlices(
      NFNL_SUBSYS_NFTABLES,
      own.map((rule) => deleteRule(family, rule)),
      `remove the rules of portmap for ${containerId}`,
    );
  }
}

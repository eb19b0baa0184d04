/** Rules of firewalld: one that is deleted is there again after the next reload, so zones are changed. */
import { shellText } from "../../facts/sentences.ts";
import type { RuleMet } from "../observe/trace.ts";

/** Of what comes in or is forwarded, by zone: `filter_FWD_public` of nftables, `FWD_public` of iptables. */
const ZONE_CHAIN = /^(?:filter_)?(?:FWD|FWDI|FWDO|IN)_(.+)$/;

/**
 * What lets a container's packets pass that a zone of firewalld refuses.
 *
 * @param device where the agent sees them arrive
 * @returns undefined for rules that are not a zone's
 */
export function firewalldRemedy(
  { table, chain }: Pick<RuleMet, "table" | "chain">,
  device: string,
): string | undefined {
  const zone = ZONE_CHAIN.exec(chain)?.[1];
  if (zone === undefined || (table !== "firewalld" && table !== "filter")) return undefined;
  const command = ["firewall-cmd", "--zone=trusted", `--change-interface=${device}`];
  const lasting = ["firewall-cmd", "--permanent", ...command.slice(1)];
  return `firewalld counts ${device} to its zone ${zone}: put it into one that lets containers pass: ${
    shellText(command)
  } && ${shellText(lasting)}`;
}

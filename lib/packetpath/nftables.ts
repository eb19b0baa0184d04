/** The port mapper's mappings in its own table of nftables, read over netlink. */
import { NFT_TABLE, SETS } from "../ports/nftables_table.ts";
import { readElements } from "../nft/sets.ts";

/** Where a port of the agent leads. */
export interface Destination {
  address: string;
  port: number;
}

/**
 * Where the table leads a port that comes to any address of the agent.
 *
 * @returns undefined when it has no such element, or there is no such table
 * @throws {SystemError}
 */
export function nftablesMapping(
  family: 4 | 6,
  protocol: string,
  hostPort: number,
): Destination | undefined {
  const element = readElements(NFT_TABLE, SETS.get(`ports${family}`)!)
    .find(({ key }) => key[0] === protocol && key[1] === hostPort);
  const [address, port] = element?.value ?? [];
  return address === undefined ? undefined : { address: String(address), port: Number(port) };
}

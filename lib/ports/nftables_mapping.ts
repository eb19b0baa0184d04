/** The port mapper's mappings in its own table of nftables, read over netlink. */
import { NFT_TABLE, SETS, TABLE } from "../firewall/port_table.ts";
import { readElements, type SetElement } from "../nft/sets.ts";

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
export function mappingOf(
  family: 4 | 6,
  protocol: string,
  hostPort: number,
): Destination | undefined {
  const element = readElements(NFT_TABLE, SETS.get(`ports${family}`)!)
    .find(({ key }) => key[0] === protocol && key[1] === hostPort);
  const [address, port] = element?.value ?? [];
  return address === undefined ? undefined : { address: String(address), port: Number(port) };
}

/** The maps that lead ports of the agent to containers. */
const MAPS = ["ports4", "ports4_at", "ports6", "ports6_at"];

/**
 * The table's elements that lead to a container, as `nft list ruleset` prints them behind the name
 * of their map.
 *
 * @param comment what its elements are marked with
 * @param addresses its own
 * @throws {SystemError}
 */
export function nftablesElements(comment: string | undefined, addresses: readonly string[]) {
  return MAPS.flatMap((map) =>
    readElements(NFT_TABLE, SETS.get(map)!)
      .filter((one) =>
        comment !== undefined && one.comment === comment || addresses.includes(`${one.value![0]}`)
      )
      .map((element) => `map inet ${TABLE} ${map}: ${elementText(element)}`)
  );
}

function elementText({ key, value, comment }: SetElement): string {
  const mark = comment === undefined ? "" : ` comment "${comment}"`;
  return `${key.join(" . ")}${mark} : ${value!.join(" . ")}`;
}

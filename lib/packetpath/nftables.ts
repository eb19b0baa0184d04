/** The port mapper's mappings in its own table of nftables. */
import { isObject, type Json } from "../base/json.ts";
import { TABLE } from "../ports/nftables_table.ts";

/** Where a port of the agent leads. */
export interface Destination {
  address: string;
  port: number;
}

/** @returns undefined when there is no such element; `no nft` where nft is not installed */
export async function nftablesMapping(
  family: 4 | 6,
  protocol: string,
  hostPort: number,
): Promise<Destination | "no nft" | undefined> {
  let output;
  try {
    const args = ["-j", "-n", "list", "map", "inet", TABLE, `ports${family}`];
    output = await new Deno.Command("nft", { args, stdin: "null" }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "no nft";
    throw error;
  }
  // No table means no mappings.
  if (!output.success) return undefined;
  return findElement(JSON.parse(new TextDecoder().decode(output.stdout)), protocol, hostPort);
}

const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Finds `protocol . port : address . port` in what `nft -j list map` prints. */
export function findElement(
  listed: unknown,
  protocol: string,
  hostPort: number,
): Destination | undefined {
  const items = isObject(listed) && Array.isArray(listed.nftables) ? listed.nftables : [];
  const elements = items.flatMap((item) =>
    isObject(item) && isObject(item.map) && Array.isArray(item.map.elem) ? item.map.elem : []
  );
  for (const element of elements) {
    if (!Array.isArray(element)) continue;
    const [key, value] = element.map(concatenation);
    if (!key || !value) continue;
    const isProtocol = key[0] === protocol || key[0] === PROTOCOL_NUMBERS[protocol];
    if (!isProtocol || Number(key[1]) !== hostPort) continue;
    return { address: String(value[0]), port: Number(value[1]) };
  }
  return undefined;
}

/** The parts of `{"concat": […]}`, also inside the `{"elem": {"val": …}}` of one with a comment. */
function concatenation(value: Json): Json[] | undefined {
  if (!isObject(value)) return undefined;
  if (isObject(value.elem)) return concatenation(value.elem.val ?? null);
  return Array.isArray(value.concat) ? value.concat : undefined;
}

/** bandwidth's config: rates and bursts of both directions. */
import type { Fields } from "../../lib/cni/fields.ts";
import { wrong } from "../../lib/cni/fields.ts";
import type { Call } from "../shared/standard_plugin.ts";

/** In bits a second, and bits. */
export interface Limit {
  rate: number;
  burst: number;
}

const KEYS = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"];
const LARGEST_BURST = 8 * 0xffff_ffff;

/**
 * The config's own limits, else those of the caller (capability `bandwidth`): of what the container
 * receives (ingress) and sends.
 *
 * @throws {CniError}
 */
export function readBandwidth({ config }: Call): { ingress?: Limit; egress?: Limit } {
  const from = KEYS.some((key) => config.has(key))
    ? config
    : config.object("runtimeConfig")?.object("bandwidth");
  if (!from) return {};
  return { ingress: readLimit(from, "ingress"), egress: readLimit(from, "egress") };
}

function readLimit(fields: Fields, direction: "ingress" | "egress"): Limit | undefined {
  const read = (key: string) => {
    const value = fields.integer(key) ?? 0;
    return value < 0 ? fields.fail(key, "0 or more") : value;
  };
  const [rate, burst] = [read(`${direction}Rate`), read(`${direction}Burst`)];
  if (rate === 0 && burst === 0) return undefined;
  // In the reference's words, which callers may look for.
  if (rate === 0) throw wrong("if burst is set, rate must also be set");
  if (burst === 0) throw wrong("if rate is set, burst must also be set");
  if (burst >= LARGEST_BURST) fields.fail(`${direction}Burst`, "less than 4 GB, in bits");
  return { rate, burst };
}

/** Who may come is an operator's choice: rules that go by who asks, and a client whom nobody has seen ask. */
import type { Cause } from "../facts/cause.ts";
import { leadsOut, type Scene } from "../facts/scene.ts";
import type { Evidence } from "./evidence.ts";

/** Of a rule, as iptables and nft write it, who it is for, by address, range, set or country. */
const BY_SOURCE =
  /(! )?(?:-s|--src-range|--src-cc|--source-country) (\S+)|(! )?--match-set (\S+) src\b|\bip6? saddr (!= )?(\{[^}]*\}?|[^\s.]\S*)/;

/**
 * What a rule drops by its source, of a client that is ours alone, is no fault of anybody's. A neighbour is
 * somebody, and no rule is meant to name him; one that names all who may come may well not know him.
 *
 * @returns the causes as hints; undefined where others may be lost as well
 */
export async function byChoice(
  causes: readonly Cause[],
  { question: { invented }, trail: { before }, scene, kernel }: Evidence,
): Promise<Cause[] | undefined> {
  if (!invented || before?.way === "back" || causes.length === 0) return undefined;
  const hints: Cause[] = [];
  for (const one of causes) {
    const found = one.code === "rule_drop" && one.place !== "container" &&
      BY_SOURCE.exec(one.rule!.text);
    if (!found) return undefined;
    const [isOnly, who] = [found[1] ?? found[3] ?? found[5], found[2] ?? found[4] ?? found[6]!];
    const set = found[4] ?? (who.startsWith("@") ? who.slice(1) : undefined);
    if (isOnly ? !admits(scene, await membersOf(who, set)) : invented !== "nobody") {
      return undefined;
    }
    const value = isOnly
      ? `it lets in ${who} alone: it may be meant so`
      : `it is for who comes from ${who}: it may be meant so`;
    hints.push({ ...one, level: "hint", fix: undefined, why: "clients by their address", value });
  }
  return hints;

  async function membersOf(who: string, set?: string): Promise<string[]> {
    if (set === undefined) return who.split(/[{},\s]+/).filter((one) => one !== "");
    const named = await kernel.namedAddresses();
    return [...named].flatMap(([one, all]) => all.some((its) => its.set === set) ? one : []);
  }
}

/** Whether somebody outside is let in: whom no link leads out to can't come. */
function admits({ host, agent }: Scene, members: readonly string[]): boolean {
  return members.some((one) => {
    const address = one.split(/[/-]/)[0]!;
    if (!/[.:]/.test(address)) return true;
    const { link } = host.wayTo(address);
    return link !== undefined && leadsOut(host, agent.containers, link);
  });
}

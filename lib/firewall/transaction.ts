/**
 * One transaction for several plugins of one attach. Who calls them hands it down and commits; each
 * plugin's work waits where it asks for changes, until all have asked. A plugin that nobody hands one
 * to makes its changes at once, by the same work.
 */
import type { Firewall, RuleRequest } from "./firewall.ts";
import type { Ids } from "./view.ts";

/**
 * What a plugin does about rules: what it writes down before, the changes that it asks for (it yields
 * them, at most once), and what follows them.
 */
export type RuleSteps<T = void> = AsyncGenerator<RuleRequest, T, Ids>;
export type RuleWork = (firewall: Firewall) => RuleSteps;

export class FirewallTransaction {
  readonly #queue: { client: string; work: RuleWork }[] = [];

  /** @param path where to look for iptables first */
  constructor(private readonly path: string) {}

  /**
   * Work of one client waits for the commit. Two of one client would wait for each other's locks:
   * what waits is committed before the second.
   */
  async add(client: string, work: RuleWork): Promise<void> {
    if (this.#queue.some((one) => one.client === client)) await this.commit();
    this.#queue.push({ client, work });
  }

  /** @throws {OperatorError} of the work that failed first; then none of the changes was made */
  async commit(): Promise<void> {
    const works = this.#queue.splice(0);
    if (works.length > 0) await doAll(this.path, works.map(({ work }) => work));
  }
}

/** Does work with the transaction that was handed down, or at once. @throws {OperatorError} */
export async function changeRules(
  handed: FirewallTransaction | undefined,
  path: string,
  client: string,
  work: RuleWork,
): Promise<void> {
  if (handed) await handed.add(client, work);
  else await doAll(path, [work]);
}

async function doAll(path: string, works: readonly RuleWork[]): Promise<void> {
  // Loaded where it is needed: plugins that have no rules do without.
  const firewall = await (await import("./firewall.ts")).Firewall.of(path);
  const all = works.map((work) => work(firewall));
  const begun = await Promise.allSettled(all.map((steps) => steps.next()));
  const waiting = all.flatMap((steps, i) => {
    const step = begun[i]!;
    return step.status === "rejected" || step.value.done ? [] : [{ steps, ...step.value }];
  });
  try {
    requireAll(begun);
    const ids = await firewall.change(...waiting.map(({ value }) => value));
    requireAll(await Promise.allSettled(waiting.map(({ steps }) => steps.next(ids))));
  } catch (error) {
    // Each takes back what it has written down, unless it is at its end.
    const ends = await Promise.allSettled(waiting.map(({ steps }) => steps.throw(error)));
    // What one says of it in words of its own, or could not take back, tells more.
    requireAll(ends.filter((end) => end.status === "rejected" && end.reason !== error));
    throw error;
  }
}

function requireAll(settled: readonly PromiseSettledResult<unknown>[]): void {
  for (const one of settled) if (one.status === "rejected") throw one.reason;
}

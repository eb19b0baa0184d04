/**
 * One transaction for several plugins of one attach. Who calls them hands it down and commits; each
 * plugin's work waits where it asks for changes, until all have asked. A plugin that nobody hands one
 * to makes its changes at once, by the same work.
 */
import type { Firewall, Ids, RuleRequest } from "./firewall.ts";

/** Asks for changes, at most once in a transaction. */
export type ChangeRules = (request: RuleRequest) => Promise<Ids>;
/** What a plugin does about rules: what it writes down before, the changes, and what follows them. */
export type RuleWork = (change: ChangeRules, firewall: Firewall) => Promise<void>;

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
    if (works.length === 0) return;
    const firewall = await firewallOf(this.path);
    const requests: (Waiting | undefined)[] = works.map(() => undefined);
    let pending = works.length;
    const arrive = async () => {
      if (--pending > 0) return;
      const waiting = requests.filter((one) => one !== undefined);
      try {
        const ids = await firewall.changeAll(waiting.map(({ request }) => request));
        waiting.forEach(({ resolve }, i) => resolve(ids[i]!));
      } catch (error) {
        waiting.forEach(({ reject }) => reject(error));
      }
    };
    let failure: { error: unknown } | undefined;
    await Promise.all(works.map(async ({ work }, i) => {
      try {
        await work((request) => {
          if (failure) return Promise.reject(failure.error);
          const { promise, ...rest } = Promise.withResolvers<Ids>();
          requests[i] = { request, ...rest };
          arrive();
          return promise;
        }, firewall);
        if (!requests[i]) await arrive();
      } catch (error) {
        failure ??= { error };
        for (const one of requests) one?.reject(error);
      }
    }));
    if (failure) throw failure.error;
  }
}

interface Waiting {
  request: RuleRequest;
  resolve: (ids: Ids) => void;
  reject: (error: unknown) => void;
}

/** Does work with the transaction that was handed down, or at once. @throws {OperatorError} */
export async function changeRules(
  handed: FirewallTransaction | undefined,
  path: string,
  client: string,
  work: RuleWork,
): Promise<void> {
  if (handed) return await handed.add(client, work);
  const firewall = await firewallOf(path);
  await work((request) => firewall.change(request), firewall);
}

/** Loaded where it is needed: plugins that have no rules do without. */
async function firewallOf(path: string): Promise<Firewall> {
  return await (await import("./firewall.ts")).Firewall.of(path);
}

/** All of a host's rules, each part of which is looked at when it is first asked for. */
import { Firewall } from "./firewall.ts";
import type { FirewallView } from "./view.ts";

export class HostRules {
  #every?: Promise<readonly FirewallView[]>;
  #own?: Promise<FirewallView>;

  /** @param path where to look for iptables first */
  constructor(private readonly path: string) {}

  /** Those of every kind of iptables. @throws {OperatorError} where they can't be read here */
  async every(): Promise<readonly FirewallView[]> {
    return await (this.#every ??= Firewall.every(this.path)
      .then((all) => Promise.all(all.map((one) => one.look()))));
  }

  /**
   * Those of the kind that the host's own are in: what a policy there drops, no rule of the other kind
   * lets through.
   *
   * @throws {OperatorError} where they can't be read here
   */
  async own(): Promise<FirewallView> {
    return await (this.#own ??= Firewall.of(this.path).then((own) => own.look()));
  }
}

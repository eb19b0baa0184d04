/** Who refuses the container's own programs while it is diagnosed: of that no socket and no connection is left. */
import { unlessRefused } from "../../base/unless.ts";
import type { Scene } from "../../facts/scene.ts";
import { resetFilter } from "../packets/filter.ts";
import { ACK, RST } from "../packets/frame.ts";
import { isToken } from "../tokens.ts";
import { Tap } from "./tap.ts";

/** Of a task that asks for much. */
const MOST = 4;

export class Refusals implements Disposable {
  readonly #taps: Tap[];

  constructor({ interfaces, inside }: Scene) {
    this.#taps = interfaces.flatMap(({ ifName: name, link }) => {
      const open = () => new Tap({ name, link: link!, netns: inside.netns }, resetFilter());
      return link?.flags.includes("UP") ? unlessRefused(open) ?? [] : [];
    });
  }

  /** Who has refused a connection, each once. @param isAsked whether it was asked by a question */
  seen(isAsked: (address: string, port: number) => boolean): { address: string; port: number }[] {
    const all = this.#taps.flatMap((tap) => [...tap.sightings()]).filter(
      ({ direction, packet: { flags, sequence, destinationPort } }) =>
        // What answers the first packet of a connection has no number of its own (RFC 9293, 3.5.2).
        direction === "in" && flags === (RST | ACK) && sequence === 0 && !isToken(destinationPort),
    ).map(({ packet: { source: address, sourcePort: port } }) => ({ address, port }));
    const each = new Map(all.map((one) => [`${one.address} ${one.port}`, one]));
    return [...each.values()].filter(({ address, port }) => !isAsked(address, port)).slice(0, MOST);
  }

  [Symbol.dispose](): void {
    for (const tap of this.#taps) tap[Symbol.dispose]();
  }
}

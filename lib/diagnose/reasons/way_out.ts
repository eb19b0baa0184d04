/** The agent's way out that leads to no wire. */
import { SystemError } from "../../kernel/libc.ts";
import { bridgePorts } from "../../netlink/bridge_state.ts";
import type { Link } from "../../netlink/mod.ts";
import { type Finding, problem, shellText } from "../finding.ts";
import type { Scene } from "../scene.ts";

/** A way out that is a bridge, and leads to no wire. */
export function withoutPort({ host }: Scene, link: Link): Finding[] {
  if (link.kind !== "bridge") return [];
  const ports = host.links.filter(({ master }) => master === link.index);
  const states = portStates(link.index);
  const held = ports.find(({ index, carrier, flags }) =>
    carrier && flags.includes("UP") && states.get(index) !== undefined &&
    states.get(index) !== "forwarding"
  );
  if (held) {
    const command = ["bridge", "link", "set", "dev", held.name, "state", "3"];
    return [problem(
      "port_state",
      ["bridge-port", "uplink"],
      `the port ${held.name} of ${link.name}, the agent's way out, is in the state ${
        states.get(held.index)
      }, not forwarding`,
      [`bridge link: state ${states.get(held.index)}`],
      shellText(command),
      { what: `undo it: ${shellText(command)}`, commands: [command] },
    )];
  }
  if (ports.some(({ carrier, flags }) => carrier && flags.includes("UP"))) return [];
  const isFarEnd = ports.some(({ flags }) => flags.includes("UP"));
  return [problem(
    "no_carrier",
    ["link", isFarEnd ? "outside" : "uplink"],
    ports.length === 0
      ? `${link.name}, the agent's way out, is a bridge without a port: no wire is on it`
      : isFarEnd
      ? `no port of ${link.name}, the agent's way out, has a carrier: the other end of ${
        ports.map(({ name }) => name).join(", ")
      } is down`
      : `no port of ${link.name}, the agent's way out, is up: ${
        ports.map(({ name }) => name).join(", ")
      }`,
    [`its state is ${link.operState}`],
    ports.length === 0
      ? `make the agent's own interface a port of it again: ip link set … master ${link.name}`
      : `look at ${ports.map(({ name }) => name).join(", ")}`,
  )];
}

function portStates(bridge: number): Map<number, string> {
  try {
    return new Map(
      bridgePorts().filter(({ master }) => master === bridge).map((
        { index, state },
      ) => [index, state]),
    );
  } catch (error) {
    if (error instanceof SystemError) return new Map();
    throw error;
  }
}

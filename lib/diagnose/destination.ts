/** What `--to` means: a container, a port of the agent, an address, or a name as the container resolves it. */
import { variable } from "../base/environment.ts";
import { type LedPort, ledPorts } from "../firewall/led_ports.ts";
import { countedRules } from "../firewall/saved.ts";
import { unless } from "../base/unless.ts";
import { OperatorError } from "../base/error.ts";
import { canonicalAddress, familyOfKnown, isAddress } from "../base/ip.ts";
import type { Agent } from "../facts/agent.ts";
import { resolverOf } from "../facts/readers/resolver.ts";
import { Scene } from "../facts/scene.ts";
import { networkAddresses } from "../containers/network_address.ts";
import { sockets } from "../netlink/sockets.ts";
import type { NamespaceView, Space } from "../netlink/view.ts";
import type { Container } from "../containers/inventory.ts";
import { findTarget, type Target, targetOf } from "../containers/target.ts";
import { resolveAsPrograms, type Resolved } from "./names.ts";
import { programOutput } from "./observe/programs.ts";
import type { Protocol } from "./packets/frame.ts";

export interface Destination {
  address: string;
  port: number;
  protocol: Protocol;
  container?: Target;
}

/** What `--to` leads to; of a name with how it was resolved. */
export interface Destinations extends Partial<Pick<Resolved, "hop" | "causes">> {
  /** None for a name without an address. */
  at: Destination[];
  name?: string;
  /** What DNS says, where /etc/hosts says something else. */
  instead?: Destination[];
}

/** @throws {OperatorError} for what can't be understood */
export async function resolve(agent: Agent, scene: Scene, to: string): Promise<Destinations> {
  const { container, name, port, protocol } = parsed(agent, to);
  // What the container's own hosts file knows is no beginning of an id.
  const isNamed = container?.name !== name &&
    resolverOf(scene).hosts.some(({ names }) => names.includes(name));
  if (container && !isNamed) return { at: [ofContainer(agent, container, port, protocol)] };
  const of = (address: string) => ofAddress(scene, address, port, protocol);
  if (isAddress(name)) return { at: [of(name)] };
  const resolved = await resolveAsPrograms(scene, name);
  return { ...resolved, name, at: resolved.addresses.map(of), instead: resolved.instead?.map(of) };
}

/** What `--to` says, without asking anybody. */
function parsed(agent: Agent, to: string) {
  const [, place = to, given] = /^(.*?)(?:\/(udp|tcp|icmp))?$/.exec(to) ?? [];
  const bracketed = /^\[(.+)\](?::(\d{1,5}))?$/.exec(place);
  const [, text = place, digits] = bracketed ??
    (isAddress(place) ? [place, place] : /^(.+?)(?::(\d{1,5}))?$/.exec(place)) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  const container = containerNamed(agent, place);
  const isEcho = port === undefined && !container && isAddress(text);
  const protocol = (given ?? (isEcho ? "icmp" : "tcp")) as Protocol;
  const isPortless = port === undefined && !container && protocol !== "icmp";
  if (isPortless || port !== undefined && (port < 1 || port > 65535)) {
    throw new OperatorError(
      "bad_destination",
      `--to=${to} is no container, and not like 192.0.2.1:80, db.example:5432, 192.0.2.1:53/udp or 192.0.2.1/icmp`,
    );
  }
  return { container, name: isAddress(text) ? canonicalAddress(text) : text, port, protocol };
}

/** An address of this agent's containers, or a port of its own that leads to one. */
export interface Own {
  at: Destination;
  target: Target;
  /** Where the container itself has it. */
  address: string;
  port: number;
}

/**
 * What `--to` means to the agent that has it.
 *
 * @param family of who asks for it
 * @throws {OperatorError} `bad_destination` where no container has it, or not for that family
 */
export async function resolveOwn(agent: Agent, to: string, family?: 4 | 6): Promise<Own> {
  const { container, name, port = 0, protocol } = parsed(agent, to);
  if (container) {
    const at = ofContainer(agent, container, port || undefined, protocol, family);
    return { at, target: container, address: at.address, port: at.port };
  }
  if (family !== undefined && isAddress(name) && familyOfKnown(name) !== family) {
    throw new OperatorError(
      "bad_destination",
      `--to=${to} is of IPv${familyOfKnown(name)}, and a client of IPv${family} can't ask for it`,
    );
  }
  const at = { address: name, port, protocol };
  const holder = agent.holdersOf(name).find(({ namespaceAlive }) => namespaceAlive);
  if (holder) {
    return { at, target: targetOf(holder), address: name, port };
  }
  const mapped = await ledTo(agent, at);
  if (mapped) return { at, ...mapped };
  throw new OperatorError("bad_destination", `no container of this agent has ${to}`);
}

/** An address that `--to` says, and that neither the agent nor a container here takes, or takes any more. */
export async function absentAddress(agent: Agent, to: string): Promise<Destination | undefined> {
  const { container, name, port = 0, protocol } = parsed(agent, to);
  if (container || !isAddress(name)) return undefined;
  if (agent.holdersOf(name).some(({ namespaceAlive }) => namespaceAlive)) return undefined;
  const at = { address: name, port, protocol };
  const isNamed = async () =>
    (await allLed()).some(({ hostAddress }) => hostAddress === name) || await isLedOn(name);
  return isLocal(agent.host, name) || await isNamed() ? undefined : at;
}

/** Whether a rule of iptables' nat, in whichever chain, is for an address, as those of kube-proxy's services. */
async function isLedOn(address: string): Promise<boolean> {
  const program = address.includes(":") ? "ip6tables" : "iptables";
  const saved = await Promise.all(
    [`${program}-save`, `${program}-legacy-save`].map((one) =>
      programOutput(undefined, one, ["-c", "-t", "nat"])
    ),
  );
  return saved.some((text = "") =>
    countedRules(text).some(({ words }) =>
      ["/32", "/128"].some((length) => words[words.indexOf("-d") + 1] === address + length)
    )
  );
}

/** Whether a machine takes what is for an address as its own, also by a route without one. */
function isLocal(host: Space, address: string): boolean {
  if (host.ownerOf(address)) return true;
  const route = host.routeTo(address);
  return typeof route !== "string" && route.type === "local";
}

/** The container that a port of the agent leads to, and where. */
export function mappedTo(
  { host, containers }: Pick<Agent, "host"> & { readonly containers: readonly Container[] },
  { address, port, protocol }: Destination,
) {
  if (!isLocal(host, address)) return undefined;
  for (const container of containers) {
    if (!container.namespaceAlive) continue;
    for (const checkpoint of container.attachments) {
      const mapping = checkpoint.portMappings.find((one) =>
        one.hostPort === port && one.protocol === protocol
      );
      const to = networkAddresses(checkpoint).find((one) =>
        (one.family === 6) === address.includes(":")
      );
      if (!mapping || !to) continue;
      const target = targetOf(container);
      return { target, address: to.address, port: mapping.containerPort, checkpoint };
    }
  }
  return undefined;
}

/** The same, also by rules that are nobody's on record: of several the first that leads to a container. */
export async function ledTo(
  agent: Agent,
  at: Destination,
): Promise<Omit<Own, "at"> | undefined> {
  const mapped = mappedTo(agent, at);
  return mapped ?? (await portsLed(agent, at)).flatMap(({ to }) => {
    const holder = agent.holdersOf(to.address).find((one) => one.namespaceAlive);
    return holder ? [{ ...to, target: targetOf(holder) }] : [];
  })[0];
}

async function portsLed({ host }: Pick<Agent, "host">, at: Destination): Promise<LedPort[]> {
  if (at.protocol === "icmp") return [];
  const isOwn = isLocal(host, at.address);
  return (await allLed()).filter((one) => leadsOn(one, at, isOwn));
}

function allLed(): Promise<LedPort[]> {
  return ledPorts(variable("PATH") ?? "", { also: ["PREROUTING"] });
}

/** Whether a rule leads on what anybody sends there. @param isOwn whether the agent takes it, if it does not */
export function leadsOn(
  { protocol, hostPort, hostAddress, isNarrow, to }: LedPort,
  at: Destination,
  isOwn: boolean,
): boolean {
  return !isNarrow && protocol === at.protocol && hostPort === at.port &&
    (hostAddress === at.address || hostAddress === undefined && isOwn) &&
    familyOfKnown(to.address) === familyOfKnown(at.address);
}

/** However it was named, an address of another container is that container's. */
export function ofAddress(
  scene: Scene,
  address: string,
  port: number | undefined,
  protocol: Protocol,
): Destination {
  const owner = scene.ownerOf(address);
  return {
    address,
    port: port ?? 0,
    protocol,
    container: owner?.namespaceAlive ? targetOf(owner) : undefined,
  };
}

/** The container of `ID` or `ID:PORT`. */
function containerNamed(agent: Agent, place: string): Target | undefined {
  return findContainer(agent, place) ??
    findContainer(agent, /^(.+):\d{1,5}$/.exec(place)?.[1] ?? "");
}

function findContainer(agent: Agent, id: string): Target | undefined {
  const isUnknown = (error: unknown) =>
    error instanceof OperatorError && error.code === "unknown_container";
  return id === "" ? undefined : unless(isUnknown, () => findTarget(agent.sources.layout, { id }));
}

function ofContainer(
  agent: Agent,
  target: Target,
  wanted: number | undefined,
  protocol: Protocol,
  family?: 4 | 6,
): Destination {
  using scene = Scene.of(agent, target);
  const address = scene.container?.attachments.flatMap(networkAddresses)
    .find((one) => family === undefined || one.family === family)?.address;
  const port = protocol === "icmp" ? 0 : wanted ??
    sockets(scene.inside as NamespaceView).find((one) =>
      one.protocol === protocol && (one.state === "LISTEN" || one.state === "UNCONN")
    )?.localPort;
  if (address !== undefined && port !== undefined) {
    return { address, port, protocol, container: target };
  }
  throw new OperatorError(
    "bad_destination",
    address === undefined
      ? `${target.name} has no address of its own${family === undefined ? "" : ` for IPv${family}`}`
      : `nothing in ${target.name} listens, so say which port: --to=${target.name}:PORT`,
  );
}

/** `ADDRESS:PORT/PROTOCOL` */
export function endpoint({ address, port, protocol }: Destination): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return protocol === "icmp"
    ? `${address}/icmp`
    : `${host}:${port}${protocol === "udp" ? "/udp" : ""}`;
}

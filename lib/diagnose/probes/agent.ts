/** The agent itself, as the container's executor must reach it to register. */
import { type Finding, hint, problem } from "../finding.ts";
import { explained } from "../packets/outcome.ts";
import { tryConnect } from "../packets/tcp.ts";
import { walk } from "../../packetpath/walk.ts";
import { type Attached, type Scene } from "../scene.ts";
import { doubt } from "./filter.ts";
import { missingRoute, routesText } from "./route.ts";

/** A Mesos agent's port, if it was not told another. */
export const AGENT_PORT = 5051;
const TIMEOUT_MS = 1000;
const BLOCKING = new Set(["DROP", "REJECT"]);

/** Where the agent listens. */
interface Agent {
  address: string;
  port: number;
  /** Nobody said so: it is the agent's address on its way out, and the usual port. */
  guessed: boolean;
}

/** @param given `ADDRESS:PORT` of the agent; its address on its way out and 5051, if absent */
export function probeAgent(given?: { address: string; port: number }) {
  return async (scene: Scene): Promise<Finding[]> => {
    const address = given?.address ?? scene.uplink(4)?.agentAddress ??
      scene.uplink(6)?.agentAddress;
    const attached = scene.interfaces.find(({ link }) => link !== undefined);
    if (address === undefined || !attached) return [];
    const agent = { address, port: given?.port ?? AGENT_PORT, guessed: !given };
    const outcome = await tryConnect(scene.inside.netns, address, agent.port, TIMEOUT_MS);
    return outcome === "connected" ? [] : await unreachable(scene, attached, agent, outcome);
  };
}

async function unreachable(
  scene: Scene,
  attached: Attached,
  agent: Agent,
  outcome: string,
): Promise<Finding[]> {
  const { ifName, link } = attached;
  const seen = `a connection from inside ends: ${explained(outcome)}`;
  if (outcome === "ENETUNREACH") return [withoutRoute(scene, agent, seen)];
  const rule = await blockingRule(scene, attached, agent);
  if (outcome === "ECONNREFUSED" && rule.length === 0) return [refused(agent, seen)];
  const summary = `${scene.name} does not reach the agent at ${place(agent)}`;
  if (["macvlan", "ipvlan"].includes(link?.kind ?? "")) {
    return [hint(
      "agent_behind_master",
      summary,
      [`${seen}; ${ifName} is a ${link!.kind}`],
      "such a container never reaches the addresses of the agent's device below it: an executor " +
        "in it registers over a second network, or an address of the agent elsewhere",
    )];
  }
  return [problem(
    "agent_unreachable",
    summary,
    [seen, ...rule],
    scene.host.ownerOf(agent.address) === undefined
      ? `${agent.address} is no address of this machine: name the agent's own (--ip), or see where ` +
        `it stops: mesos-cni netns diagnose --from=${scene.name} --to=${toText(agent)}`
      : `allow TCP port ${agent.port} in the agent's firewall (INPUT)${
        attached.ingress ? ` for what comes in by ${attached.ingress.name}` : ""
      }. The executor can't register until then`,
  )];
}

function withoutRoute(scene: Scene, agent: Agent, seen: string): Finding {
  return problem(
    "agent_unreachable",
    `${scene.name} has no route to the agent at ${place(agent)}`,
    [seen, `its routes are ${routesText(scene, agent.address.includes(":") ? 6 : 4)}`],
    `${missingRoute(scene)}. The executor can't register until then`,
  );
}

/** A refusal without a rule is the agent's own: packets arrive, and no agent is there. */
function refused(agent: Agent, seen: string): Finding {
  const summary = `nothing listens at ${place(agent)}`;
  return agent.guessed
    ? hint(
      "agent_not_found",
      `${summary}, where an agent would by default`,
      [seen],
      "if an agent runs and listens elsewhere, say where: --agent=ADDRESS:PORT",
    )
    : problem(
      "agent_unreachable",
      `${summary}: the agent listens on another address, or is not running`,
      [seen],
      "see where it listens (ss -ltnp), and start it with an --ip and --port that containers " +
        "reach. The executor can't register until then",
    );
}

function place({ address, port }: Agent): string {
  return `${address} port ${port}`;
}

function toText({ address, port }: Agent): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

async function blockingRule(
  scene: Scene,
  { ingress, expected }: Attached,
  { address, port }: Agent,
): Promise<string[]> {
  const family = address.includes(":") ? 6 : 4;
  const source = expected.find((one) => one.family === family)?.address;
  const filter = await scene.rules("filter", family);
  if (!ingress || source === undefined || !filter) return [];
  const verdict = walk(filter, "INPUT", {
    protocol: "tcp",
    source,
    destination: address,
    sourcePort: 40000,
    destinationPort: port,
    input: ingress.name,
    toHost: true,
    state: "NEW",
  });
  if (!BLOCKING.has(verdict.target)) return [];
  return [
    verdict.rule
      ? `the rule that decides: ${verdict.rule.text}`
      : `no rule of INPUT takes it, and its policy is ${verdict.target}`,
    ...doubt(verdict),
  ];
}

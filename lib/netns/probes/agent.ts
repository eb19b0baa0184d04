/** The agent itself, as the container's executor must reach it to register. */
import { type Finding, hint, problem } from "../finding.ts";
import { tryConnect } from "../packets/tcp.ts";
import { walk } from "../rules/walk.ts";
import { type Attached, type Scene } from "../scene.ts";
import { doubt } from "./filter.ts";

/** A Mesos agent's port, if it was not told another. */
export const AGENT_PORT = 5051;
const TIMEOUT_MS = 1000;
const BLOCKING = new Set(["DROP", "REJECT"]);

/** @param agent `ADDRESS:PORT` of the agent; its address on its way out and 5051, if absent */
export function probeAgent(agent?: { address: string; port: number }) {
  return async (scene: Scene): Promise<Finding[]> => {
    const address = agent?.address ?? scene.uplink(4)?.agentAddress ??
      scene.uplink(6)?.agentAddress;
    const attached = scene.interfaces.find(({ link }) => link !== undefined);
    if (address === undefined || !attached) return [];
    return await unreachable(scene, attached, address, agent?.port ?? AGENT_PORT);
  };
}

async function unreachable(
  scene: Scene,
  attached: Attached,
  address: string,
  port: number,
): Promise<Finding[]> {
  const outcome = await tryConnect(scene.inside.netns, address, port, TIMEOUT_MS);
  if (outcome === "connected") return [];
  const rule = await blockingRule(scene, attached, address, port);
  // A refusal without a rule is the agent's own: packets arrive, and no agent runs.
  if (outcome === "ECONNREFUSED" && rule.length === 0) return [];
  if (["macvlan", "ipvlan"].includes(attached.link?.kind ?? "")) {
    return [hint(
      "agent_behind_master",
      `${scene.name} does not reach the agent at ${address} port ${port}`,
      [`a connection from inside ends: ${outcome}; ${attached.ifName} is a ${attached.link!.kind}`],
      "such a container never reaches the addresses of the agent's device below it: an executor " +
        "in it registers over a second network, or an address of the agent elsewhere",
    )];
  }
  return [problem(
    "agent_unreachable",
    `${scene.name} does not reach the agent at ${address} port ${port}`,
    [`a connection from inside ends: ${outcome}`, ...rule],
    "its executor can't register, and the task fails after the agent's " +
      "--executor_registration_timeout: allow it in the agent's firewall (INPUT), and let the " +
      "agent listen on an address that containers reach (--ip)",
  )];
}

async function blockingRule(
  scene: Scene,
  { ingress, expected }: Attached,
  address: string,
  port: number,
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

/** The list of containers with their networks. */
import type { Container } from "../containers/inventory.ts";
import { addressTexts } from "../containers/network_address.ts";
import type { Agent } from "../facts/agent.ts";
import { type Health, healthOfAll, isHealthy } from "../facts/facts.ts";
import { isProblem } from "../facts/cause.ts";
import { briefOf, textOf } from "../facts/sentences.ts";

/** A line of the list. */
export interface ListedContainer {
  id: string;
  mode: Container["mode"];
  keeper: Container["keeper"];
  networks: { network: string; ifName: string; state: string; addresses: string[] }[];
  ports: string[];
  pid?: number;
  since?: string;
  /** `ok`, or the first cause in a few words. */
  health: string;
  /** All that is wrong, as far as can be told without sending a packet. */
  causes: { code: string; level: string; brief: string; text: string }[];
}

/** All containers, by id. */
export async function listContainers(agent: Agent): Promise<ListedContainer[]> {
  return (await healthOfAll(agent)).map(([container, health]) => ({
    id: container.id,
    mode: container.mode,
    keeper: container.keeper,
    networks: container.attachments.map((checkpoint) => ({
      network: checkpoint.network,
      ifName: checkpoint.ifName,
      state: checkpoint.state,
      addresses: addressTexts(checkpoint),
    })),
    ports: container.attachments.flatMap(({ portMappings }) =>
      portMappings.map(({ hostPort, containerPort, protocol }) =>
        `${hostPort}:${containerPort}/${protocol}`
      )
    ),
    pid: container.pid,
    since: container.since?.toISOString(),
    ...told(health),
  }));
}

/** The health of a container as `list` and `inspect` tell it. */
export function told(health: Health): Pick<ListedContainer, "health" | "causes"> {
  return {
    health: isHealthy(health) ? "ok" : briefOf(health.causes.find(isProblem)!),
    causes: health.causes.map((one) => ({
      code: one.code,
      level: one.level,
      brief: briefOf(one),
      text: textOf(one),
    })),
  };
}

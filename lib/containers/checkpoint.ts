/**
 * What the isolator, ours or a stock agent's, left on disk about one interface of a container.
 * A crash or a bug may have left anything: what can't be read is said in `state`, never thrown.
 */
import { isObject, type JsonObject, parseJson } from "../base/json.ts";
import { type PortMapping, portMappingsOf } from "../cni/port_mappings.ts";
import { readResult, type Result } from "../cni/result.ts";
import { messageOf } from "../base/error.ts";
import { readCheckpoint } from "../kernel/atomic_file.ts";
import type { Attachment, Layout } from "./layout.ts";
import type { ContainerId } from "../mesos/container_id.ts";

/**
 * `attached`: config and result are there. `attaching`: no result, so the plugin is at work, has
 * failed, or a crash came between. `torn`: a file holds half of what it should, or nothing.
 */
export type CheckpointState = "attached" | "attaching" | "torn";

/** One interface of a container, as its checkpoints describe it. */
export interface Checkpoint extends Attachment {
  state: CheckpointState;
  /** What is wrong with which file, unless `attached`. */
  problem?: string;
  /** The config of every plugin that had a part in it, delegates behind those that call them. */
  plugins: JsonObject[];
  portMappings: PortMapping[];
  result?: Result;
}

/** Reads the checkpoint of one interface. */
export function readAttachment(
  layout: Layout,
  id: ContainerId,
  { network, ifName }: Attachment,
): Checkpoint {
  const checkpoint: Checkpoint = {
    network,
    ifName,
    state: "attached",
    plugins: [],
    portMappings: [],
  };
  const spoil = (state: CheckpointState, problem: string) => {
    checkpoint.state = state;
    checkpoint.problem = problem;
  };

  const configFile = layout.config(id, network);
  const config = readJson(configFile);
  if (isObject(config.value)) {
    checkpoint.plugins = pluginsOf(config.value);
    checkpoint.portMappings = portMappingsOf(config.value);
  } else {
    spoil("torn", config.problem ?? `${configFile} holds no JSON object`);
  }

  const resultFile = layout.result(id, network, ifName);
  const result = readJson(resultFile);
  if (result.value === undefined) {
    spoil(result.missing && checkpoint.state !== "torn" ? "attaching" : "torn", result.problem!);
    return checkpoint;
  }
  try {
    checkpoint.result = readResult(result.value, resultFile);
  } catch (error) {
    spoil("torn", messageOf(error));
  }
  return checkpoint;
}

function readJson(file: string): { value?: unknown; problem?: string; missing?: true } {
  let text;
  try {
    text = readCheckpoint(file);
  } catch (error) {
    return { problem: `${file} can't be read: ${messageOf(error)}` };
  }
  if (text === undefined) return { problem: `${file} is missing`, missing: true };
  if (text.trim() === "") return { problem: `${file} is empty` };
  try {
    return { value: parseJson(text) };
  } catch {
    return { problem: `${file} is cut off or no JSON` };
  }
}

function pluginsOf(config: JsonObject): JsonObject[] {
  const chain = Array.isArray(config.plugins) ? config.plugins.filter(isObject) : [config];
  return chain.flatMap(withDelegates);
}

/** Delegates (the port mapper's, and those of plugins like flannel) belong to the chain too. */
function withDelegates(plugin: JsonObject): JsonObject[] {
  return [plugin, ...isObject(plugin.delegate) ? withDelegates(plugin.delegate) : []];
}

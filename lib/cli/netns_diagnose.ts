import {
  type Call,
  type Command,
  flag,
  isPort,
  JSON_FLAG,
  UsageError,
  wrongFound,
} from "./command.ts";
import { agentOf, TARGET_FLAGS, targetOf } from "./netns_target.ts";
import { messageOf } from "../base/error.ts";
import { canonicalAddress, isAddress } from "../base/ip.ts";
import type { Sources } from "../facts/agent.ts";
import { Catalog } from "../cni/catalog.ts";
import { isBuiltIn } from "../cni/plugin_type.ts";
import { networkSources } from "./agent_sources.ts";
import { ofAgent, settledValue } from "./found_values.ts";
import { bold, print, printError, printJson, progressOf } from "./output.ts";
import { isProblem } from "../facts/cause.ts";
import { plain } from "../base/printable.ts";
import type { Diagnosis } from "../diagnose/diagnose.ts";
import type { FollowedPacket } from "../diagnose/follow.ts";

export const diagnose: Command = {
  name: "netns diagnose",
  operands: "ID | --all | --from=ID|ADDRESS --to=ID|HOST:PORT",
  complete: "container",
  flags: [
    JSON_FLAG,
    flag("--agent=ADDRESS:PORT", "where executors register", {
      usual: "that of the running agent, or port 5051",
    }),
    flag(
      "--from=ID|ADDRESS",
      "with --to: follow one connection from this container, or from a client outside",
      { complete: "container" },
    ),
    flag(
      "--to=ID[:PORT]|HOST:PORT",
      "the other end; /udp or /icmp behind it for another protocol",
      { complete: "container" },
    ),
    flag(
      "--expect=PORT",
      "with --to: wait a minute for the packet that another agent's diagnose sends from this port",
    ),
    flag(
      "--no-payload=PORT[,PORT]",
      "ports, of the agent or of containers, to whose listeners no request is sent",
      { usual: "no_payload of /etc/mesos-cni.json" },
    ),
    flag("--all", "every container, as a matrix of questions"),
    flag("--format=FORMAT", "with --all: text, or html for one file to keep", {
      default: "text",
      complete: ["text", "html"],
    }),
    flag("--passive", "send nothing, and judge by what can be read alone"),
    flag("--fix", "run the commands that would mend it, each after asking"),
    ...TARGET_FLAGS,
  ],
  examples: [
    ["mesos-cni netns diagnose 5f3a", "the cause, what was seen, what to do"],
    ["mesos-cni netns diagnose 5f3a --fix", "and repair what can be repaired"],
    [
      "mesos-cni netns diagnose --from=5f3a --to=db.example:5432",
      "at which hop a connection stops",
    ],
    [
      "mesos-cni netns diagnose --from=198.51.100.20 --to=5f3a:80",
      "the same of a client outside, who need not be asked",
    ],
    ["mesos-cni netns diagnose --all --format=html >agent.html", "the whole agent, for a ticket"],
  ],
  notes:
    "--to=ID without a port goes to the first that something there listens on. Of a packet that leaves\n" +
    "for another agent, the command with --expect is printed that sees it arrive there.\n" +
    "Exit code 1 if a problem was found. Questions are sent into the container's network as real packets,\n" +
    "and into the agent's uplink as a stranger's would come; for one that fails, the rules that its packet\n" +
    "meets are traced while it is sent again. Nothing of that stays, and nothing is changed without --fix.",
  async run(call) {
    if (call.has("all")) return await diagnoseEverything(call);
    if (call.given("format") !== undefined) throw new UsageError("--format goes with --all");
    if (
      call.has("passive") && ["from", "to", "expect"].some((one) => call.value(one) !== undefined)
    ) {
      throw new UsageError(
        "--passive sends nothing, so it does not go with --from, --to or --expect",
      );
    }
    if (call.has("fix")) requireSomeoneToAsk(call);
    if (call.value("expect") !== undefined) return await expectConnection(call);
    if (call.value("from") !== undefined || call.value("to") !== undefined) {
      return await followConnection(call);
    }
    const before = await printDiagnosis(call);
    if (!call.has("fix") || !await applyFixes(before)) return before.healthy ? 0 : 1;
    print("\nand now:\n");
    return (await printDiagnosis(call)).healthy ? 0 : 1;
  },
};

async function printDiagnosis(call: Call): Promise<Diagnosis> {
  const { diagnose } = await import("../diagnose/diagnose.ts");
  const target = await targetOf(call);
  using agent = await agentOf(call, networksHere(call));
  const diagnosis = await diagnose(agent, target, optionsOf(call));
  if (call.has("json")) {
    const { diagnosisJson } = await import("../diagnose/render/finding.ts");
    printJson(diagnosisJson(diagnosis));
  } else {
    const { diagnosisText } = await import("../diagnose/render/text.ts");
    print(diagnosisText(diagnosis, bold));
  }
  return diagnosis;
}

async function diagnoseEverything(call: Call): Promise<number> {
  const others = ["from", "to", "expect", "netns", "pid"].filter((one) =>
    call.value(one) !== undefined
  );
  if (call.operands.length > 0 || others.length > 0 || call.has("fix")) {
    throw new UsageError(
      "--all takes no ID, and no --from, --to, --expect, --netns, --pid or --fix",
    );
  }
  const { diagnoseAll } = await import("../diagnose/all.ts");
  using agent = await agentOf(call, networksHere(call));
  const all = await diagnoseAll(agent, optionsOf(call), progressOf("containers"));
  if (call.has("json")) {
    const { agentJson } = await import("../diagnose/render/finding.ts");
    printJson(agentJson(all));
  } else if (call.value("format") === "html") {
    const { topologyOf } = await import("../netns/topology.ts");
    const { reportHtml } = await import("../diagnose/render/html.ts");
    print(reportHtml(all, await topologyOf(agent)));
  } else {
    const { agentText } = await import("../diagnose/render/text.ts");
    print(agentText(all, bold));
  }
  return all.healthy ? 0 : 1;
}

/** The networks of this machine's agent, where it says which. */
function networksHere(call: Call): Partial<Sources> {
  const of = (name: string) => call.found(name)?.value;
  const configDir = of("network_cni_config_dir");
  if (configDir === undefined) return {};
  const cni = { configDir, pluginsDir: of("network_cni_plugins_dir") ?? "" };
  return networkSources(call, cni, () => {
    const catalog = new Catalog(configDir, cni.pluginsDir, {
      isBuiltIn: (type) => isBuiltIn(call.plugins, type),
    });
    catalog.load();
    return catalog;
  });
}

async function followConnection(call: Call): Promise<number> {
  const given = call.value("from");
  const from = given !== undefined && isAddress(given) ? canonicalAddress(given) : given;
  const to = call.value("to");
  if (from === undefined || to === undefined || call.operands.length > 0) {
    const [id = from ?? "ID"] = call.operands;
    throw new UsageError(
      "one connection has --from=ID|ADDRESS and --to=ID|HOST:PORT, and no other ID, as in: " +
        `mesos-cni diagnose --from=${id} --to=${to ?? "HOST:PORT"}`,
    );
  }
  using agent = await agentOf(call);
  const [holder] = agent.holdersOf(from);
  if (isAddress(from) && !holder) {
    const { followClient } = await import("../diagnose/client.ts");
    return await printFollowed(call, await followClient(agent, from, to));
  }
  const { follow } = await import("../diagnose/follow.ts");
  const { findTarget } = await import("../containers/target.ts");
  const { noPayload } = optionsOf(call);
  const target = findTarget(agent.sources.layout, { id: holder?.id ?? from });
  const mayTalkTo = (port: number) => !noPayload.includes(port);
  return await printFollowed(call, await follow(agent, target, to, mayTalkTo));
}

/** More than it takes to run the same again on the other agent. */
const EXPECT_MS = 60_000;

async function expectConnection(call: Call): Promise<number> {
  const [to, port] = [call.value("to"), call.value("expect")!];
  if (to === undefined || call.value("from") !== undefined || call.operands.length > 0) {
    throw new UsageError(
      `--expect goes with --to alone, as in: mesos-cni diagnose --to=10.1.0.2:80 --expect=${port}`,
    );
  }
  if (!isPort(port)) throw new UsageError(`--expect=${port} is no port from 1 to 65535`);
  const { expect } = await import("../diagnose/client.ts");
  using agent = await agentOf(call);
  if (Deno.stderr.isTerminal()) printError("netns diagnose", "waiting for it, up to a minute");
  return await printFollowed(call, await expect(agent, to, Number(port), EXPECT_MS));
}

async function printFollowed(call: Call, followed: FollowedPacket): Promise<number> {
  if (call.has("json")) {
    const { followedJson } = await import("../diagnose/render/finding.ts");
    printJson(followedJson(followed));
  } else {
    const { followedText } = await import("../diagnose/render/text.ts");
    print(followedText(followed));
  }
  return followed.arrived && !followed.causes.some(isProblem) ? 0 : 1;
}

function optionsOf(call: Call) {
  const given = call.value("no-payload");
  const settled = given === undefined ? settledValue("no_payload") : undefined;
  const ports = (given ?? settled?.value)?.split(",") ?? [];
  const wrong = ports.find((one) => !isPort(one));
  const why = `${wrong} is no port from 1 to 65535`;
  if (wrong !== undefined && settled) throw wrongFound(settled, `no_payload: ${why}`);
  if (wrong !== undefined) throw new UsageError(`--no-payload: ${why}`);
  return { agent: endpointOf(call), passive: call.has("passive"), noPayload: ports.map(Number) };
}

function endpointOf(call: Call): { address: string; port: number } | undefined {
  const value = call.value("agent");
  if (value === undefined) return agentHere();
  const match = /^\[?([0-9a-fA-F.:]+?)\]?:(\d{1,5})$/.exec(value);
  const [, address = "", port = ""] = match ?? [];
  if (!isAddress(address) || !isPort(port)) {
    throw new UsageError(
      `--agent=${value} is not like 192.0.2.1:5051, with a port from 1 to 65535`,
    );
  }
  return { address, port: Number(port) };
}

/** Where the machine's agent says that it listens; undefined where it lets its hostname decide. */
export function agentHere(): { address: string; port: number } | undefined {
  const flag = (name: string) => ofAgent(`advertise_${name}`)?.value ?? ofAgent(name)?.value;
  const address = flag("ip");
  const port = Number(flag("port") ?? 5051);
  const isUsable = address !== undefined && isAddress(address) && port > 0 && port < 65536;
  // 0.0.0.0 is every address of the machine, and none that could be reached.
  return isUsable && !/^[0.:]+$/.test(address) ? { address, port } : undefined;
}

/** Before anything is looked at: without a terminal nobody can be asked, and nothing is changed. */
function requireSomeoneToAsk(call: Call): void {
  if (call.value("from") !== undefined || call.has("json")) {
    throw new UsageError("--fix goes with the ID of one container, and without --json");
  }
  if (!Deno.stdin.isTerminal()) {
    throw new UsageError("--fix asks before each change, so it needs a terminal");
  }
}

/** Asks for each fix by its very commands. @returns whether any was applied */
async function applyFixes({ causes, healthy }: Diagnosis): Promise<boolean> {
  const { applyFix } = await import("../diagnose/fix.ts");
  const { shellText } = await import("../facts/sentences.ts");
  // One command may be the remedy of several causes.
  const fixes = new Map(
    causes.flatMap(({ fix }) => fix ? [[JSON.stringify(fix.commands), fix]] : []),
  );
  if (fixes.size === 0 && !healthy) print("\nnothing that could be fixed safely");
  let applied = false;
  for (const fix of fixes.values()) {
    print(["", ...fix.commands.map((command) => `  ${shellText(command)}`)].map(plain).join("\n"));
    if (fix.removes !== undefined) print(plain(`This removes ${fix.removes}.`));
    if (!confirm(fix.commands.length > 1 ? "run these?" : "run this?")) continue;
    try {
      await applyFix(fix);
      applied = true;
      print("done");
    } catch (error) {
      printError("netns diagnose", messageOf(error));
    }
  }
  return applied;
}

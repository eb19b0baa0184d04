import { type Call, type Command, type Flag, flag, requireBehind, UsageError } from "./command.ts";
import { containerOf, LAYOUT_FLAGS, layoutOf, TARGET_FLAGS, targetOf } from "./netns_target.ts";
import type { Target } from "../containers/target.ts";
import { bold, print, printError } from "./output.ts";

const ENTER_FLAGS: readonly Flag[] = [
  flag("--mount", "with the container's files: its root, its /etc, its programs"),
  flag("--uts", "with the container's hostname"),
  ...TARGET_FLAGS,
];

const ENTER_NOTES =
  `Without --mount, the command and the files it sees are the agent's own; only the network is
the container's. With it, programs of the container run: in all of its namespaces, in its control
groups, as its first process' user with the capabilities of that (a seccomp filter is told of, and not applied), with an
environment that is made (PATH, HOME, and TERM, LANG, LC_*, TZ of yours), and with a terminal and
pipes of their own.`;

export const exec: Command = {
  name: "netns exec",
  operands: "ID|--all [-- COMMAND [ARG…]]",
  complete: "container",
  flags: [
    flag("--all", "in each container's network, one after the other"),
    ...ENTER_FLAGS,
  ],
  examples: [
    ["mesos-cni netns exec 5f3a -- curl -s localhost:80", "as the container would"],
    ["mesos-cni netns exec 5f3a --mount -- cat /etc/resolv.conf", "its own file"],
    ["mesos-cni exec --all -- ss -tln", "who listens where, in every container"],
  ],
  notes: ENTER_NOTES +
    "\nThe exit code is the command's; 126 or 127 if it could not be executed. With --all: 1 if it" +
    "\nfailed anywhere. Without a command, exec is a shell.",
  async run(call) {
    const [command, ...args] = call.rest ?? [];
    if (call.has("all")) return await execInAll(call, command, args);
    requireBehind(call, "the command", "exec", 1);
    if (command === undefined) return await enterShell(call);
    const complain = (message: string) => printError("netns exec", message);
    if (call.has("mount")) {
      return await enterFully(call, await targetOf(call), [command, ...args], {}, complain);
    }
    const { become, namespacesOf } = await import("../netns/enter.ts");
    const layout = layoutOf(call);
    const target = await targetOf(call, layout);
    const namespaces = await namespacesOf(layout, target, companions(call));
    return become([command, ...args], namespaces, complain);
  },
};

/** One after the other, so that each output stands below its container's name. */
async function execInAll(call: Call, command: string | undefined, args: string[]): Promise<number> {
  if (call.operands.length > 0) throw new UsageError("--all goes without an ID");
  if (command === undefined) throw new UsageError("--all needs a command: --all -- COMMAND [ARG…]");
  const alone = ["mount", "uts", "netns", "pid"].find((flag) => call.given(flag) !== undefined);
  if (alone) throw new UsageError(`--${alone} is for one container, not for --all`);
  const { readContainers } = await import("../containers/inventory.ts");
  const { runInside } = await import("../netns/run_inside.ts");
  let failed = 0;
  for (const { id, mode, netns, namespaceAlive } of readContainers(layoutOf(call))) {
    if (mode !== "own") continue; // another one's network, which has its own turn
    print(bold(`== ${id}`));
    const problem = namespaceAlive
      ? await runInside(netns, command, args)
      : "its network namespace is gone";
    if (problem !== undefined) {
      failed++;
      printError("netns exec", `${id}: ${problem}`);
    }
  }
  return failed > 0 ? 1 : 0;
}

export const shell: Command = {
  name: "netns shell",
  operands: "ID",
  complete: "container",
  flags: ENTER_FLAGS,
  examples: [["mesos-cni netns shell 5f3a", "the prompt says where you are"]],
  notes: ENTER_NOTES,
  async run(call) {
    if (call.rest) {
      throw new UsageError(
        `a command is run by exec: ${
          ["mesos-cni exec", call.operands[0] ?? "ID", "--", ...call.rest].join(" ")
        }`,
      );
    }
    return await enterShell(call);
  },
};

async function enterShell(call: Call): Promise<number> {
  const complain = (message: string) => printError("netns shell", message);
  const { become, namespacesOf } = await import("../netns/enter.ts");
  const { shellCommand } = await import("../netns/shell.ts");
  const target = await targetOf(call);
  const { argv, env } = shellCommand(target, companions(call));
  if (call.has("mount")) return await enterFully(call, target, argv, env, complain);
  const namespaces = await namespacesOf(layoutOf(call), target, companions(call));
  for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
  return become(argv, namespaces, complain);
}

/** Programs among the container's files get its rights, and nothing of the agent's environment. */
async function enterFully(
  call: Call,
  target: Target,
  argv: readonly [string, ...string[]],
  env: Record<string, string>,
  complain: (message: string) => void,
): Promise<number> {
  const { runContained } = await import("../netns/contained.ts");
  return await runContained(argv, layoutOf(call), target, env, complain);
}

function companions(call: Call) {
  return { mount: call.has("mount"), uts: call.has("uts") };
}

export const link: Command = {
  name: "netns link",
  operands: "ID",
  complete: "container",
  flags: LAYOUT_FLAGS,
  examples: [["mesos-cni netns link 5f3a", "then: ip netns exec ID ss -t"]],
  notes: "Links to containers that are gone are removed with every `link` and `unlink`.",
  async run(call) {
    const { linkNamespace } = await import("../containers/namespace_link.ts");
    const { requireAlive } = await import("../containers/target.ts");
    const id = await containerOf(call);
    const layout = layoutOf(call);
    requireAlive({ name: id, netns: layout.namespace(id) });
    print(linkNamespace(layout, id));
  },
};

export const unlink: Command = {
  name: "netns unlink",
  operands: "ID",
  complete: "container",
  flags: LAYOUT_FLAGS,
  examples: [["mesos-cni netns unlink 5f3a", "no link is fine too"]],
  async run(call) {
    const { unlinkNamespace } = await import("../containers/namespace_link.ts");
    unlinkNamespace(layoutOf(call), await containerOf(call));
  },
};

export const capture: Command = {
  name: "netns capture",
  operands: "ID [-- FILTER…]",
  complete: "container",
  flags: [
    flag("--interface=NAME", "or any", { usual: "the first on a network" }),
    flag("--write=FILE", "packets to a file instead of lines"),
    flag("--count=N", "end after so many packets"),
    ...TARGET_FLAGS,
  ],
  examples: [
    ["mesos-cni netns capture 5f3a -- port 53", "its DNS queries, as they happen"],
    ["mesos-cni netns capture 5f3a --write=/tmp/5f3a.pcap", "for Wireshark"],
  ],
  notes: "tcpdump must be installed on the agent; a filter is as in pcap-filter(7).",
  async run(call) {
    const { become, namespacesOf } = await import("../netns/enter.ts");
    const { tcpdump } = await import("../netns/capture.ts");
    requireBehind(call, "the filter", "capture", 1);
    const count = call.value("count");
    if (count !== undefined && !/^[1-9]\d{0,8}$/.test(count)) {
      throw new UsageError(`--count=${count} is no number of packets`);
    }
    const layout = layoutOf(call);
    const target = await targetOf(call, layout);
    const namespaces = await namespacesOf(layout, target, { uts: false });
    const argv = tcpdump(layout, target, {
      interface: call.value("interface"),
      file: call.value("write"),
      count,
      filter: call.rest ?? [],
    });
    return become(argv, namespaces, (message) => printError("netns capture", message));
  },
};

/** Fifty agents (by default, fewer) with three kinds of faults: the guide's own commands lead from the table to the cause. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { BRIDGE, CHAIN, NETWORKS } from "../harness/clinic.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { ALL_PARTS } from "../harness/scale.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { type NetworkConfig, StockContainer } from "../harness/stock_agent.ts";
import { readMarkdown } from "../docs/markdown.ts";

const GUIDE = fromFileUrl(new URL("../../docs/guides.md", import.meta.url));
const AGENTS = ALL_PARTS ? 50 : 16;
const AT_A_TIME = 4;

/** What is done to which agents, and the code and the sentence that say it. */
const FAULTS: { agents: number[]; code: string; says: string; make: string[] }[] = [
  {
    agents: [7, 19, 33].filter((one) => one < AGENTS),
    code: "forwarding_off",
    says: "net.ipv4.ip_forward=1",
    make: ["sysctl", "-qw", "net.ipv4.ip_forward=0"],
  },
  {
    agents: [12, 40].filter((one) => one < AGENTS),
    code: "bridge_down",
    says: `ip link set ${BRIDGE} up`,
    make: ["ip", "link", "set", BRIDGE, "down"],
  },
  {
    agents: [15],
    code: "port_rules_missing",
    says: "mesos-cni isolator recover",
    make: ["iptables", "-t", "nat", "-F", CHAIN],
  },
];

const nameOf = (index: number) => `agent-${String(index).padStart(2, "0")}`;

class Fleet implements AsyncDisposable {
  readonly agents: Sandbox[] = [];
  readonly #containers: StockContainer[] = [];
  readonly dir = Deno.makeTempDirSync({ prefix: "mesos-cni-test-" });

  static async open(): Promise<Fleet> {
    const fleet = new Fleet();
    const waiting = Array.from({ length: AGENTS }, (_, i) => i);
    const work = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        await fleet.#start(next);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    return fleet;
  }

  async #start(index: number): Promise<void> {
    const agent = this.agents[index] = await Sandbox.create();
    const { delegate, ...mapper } = NETWORKS.iptables as NetworkConfig & { delegate: object };
    // Nobody is outside of these agents, and so no server of names.
    const network: NetworkConfig = {
      ...mapper,
      ...index === 3 ? { snat: true } : {},
      delegate: { ...delegate, dns: {} },
    };
    await agent.ok(["sh", "-ec", "mkdir /run/net; cat >/run/net/net.conf"], {
      stdin: JSON.stringify(network),
    });
    // Where executors would register.
    await agent.ok(["busybox", "httpd", "-p", "5051", "-h", "/run"]);
    Deno.mkdirSync(`${agent.dir}/plugins`);
    Deno.symlinkSync(MESOS_CNI, `${agent.dir}/plugins/mesos-cni-port-mapper`);
    this.#containers.push(
      await StockContainer.launch(agent, "web-1", [network], {
        plugins: `${agent.dir}/plugins`,
        portMappings: [{ host_port: 8080, container_port: 80 }],
        resolvConf: "",
      }),
    );
    await Deno.writeTextFile(`${this.dir}/pid-${nameOf(index)}`, String(agent.pid));
  }

  /** A shell of an operator, whose ssh leads to the agents. */
  async shell(script: string, agent = ""): Promise<string> {
    const prelude = `ssh() { local name=$1; shift
        nsenter --target=$(cat pid-$name) --net --mount -- unshare --uts \\
          sh -c 'hostname "$0"; exec "$@"' $name "$@"; }
      agent=${agent}
      ln -sf ${MESOS_CNI} mesos-cni; PATH=$PWD:$PATH`;
    const { stdout, stderr } = await new Deno.Command("bash", {
      args: ["-c", `${prelude}\n${script}`],
      cwd: this.dir,
      env: {
        NO_COLOR: "1",
        MESOS_NETWORK_CNI_CONFIG_DIR: "/run/net",
        MESOS_NETWORK_CNI_PLUGINS_DIR: "/usr/lib/cni",
      },
    }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const container of this.#containers) await container[Symbol.asyncDispose]();
    for (const agent of this.agents) await agent?.[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }
}

Deno.test(`of ${AGENTS} agents, three commands of the guide lead to the cause`, async () => {
  const { blocks } = readMarkdown(await Deno.readTextFile(GUIDE));
  const command = (which: string) =>
    blocks.find(({ info }) => info.includes("fleet") && info.includes(which))!.text;
  await using fleet = await Fleet.open();
  for (const { agents, make } of FAULTS) {
    for (const one of agents) await fleet.agents[one]!.ok(make);
  }
  await Deno.writeTextFile(
    `${fleet.dir}/agents`,
    fleet.agents.map((_, i) => `${nameOf(i)}\n`).join(""),
  );
  await fleet.shell(command("collect"));

  const table = await fleet.shell(command("1"));
  const lines = table.split("\n");
  const ill = FAULTS.flatMap(({ agents }) => agents).length;
  assertEquals(lines[0], `${AGENTS} agents with ${AGENTS} containers: ${ill} not well`);
  for (const { agents, code } of FAULTS) {
    const line = lines.find((line) => line.startsWith(`${code} `))!;
    assertStringIncludes(line, agents.map(nameOf).join(" "));
    assertEquals(line.split(/ +/)[1], String(agents.length), line);
  }
  // One has another config, and is well.
  const others = lines.filter((line) => line.startsWith("config of "));
  assertEquals(others.map((line) => line.trim().split(/ +/).slice(4)), [[
    `${AGENTS - 1}`,
    "agent-00",
    "agent-01",
    "agent-02",
    "agent-04",
    "agent-05",
    "…",
    `${AGENTS - 6}`,
    "more",
  ], ["1", "agent-03"]]);

  for (const { agents: [one], code, says } of FAULTS) {
    const status = await fleet.shell(command("2"), nameOf(one!));
    assertStringIncludes(status, "something is wrong");
    const diagnosis = await fleet.shell(command("3"), nameOf(one!));
    assertStringIncludes(diagnosis, code);
    assertStringIncludes(diagnosis, says);
  }
});

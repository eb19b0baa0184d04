/**
 * Every plugin killed at its system calls, one after the other, then DEL: the machine is as after
 * an undisturbed ADD and DEL, and the next ADD works. By default a sample, every call with
 * MESOS_CNI_TEST_SCALE=full.
 */
import { assert, assertEquals } from "@std/assert";
import { partOf } from "../harness/part.ts";
import { NETWORK, PluginMachine } from "../harness/plugin_machine.ts";
import { FULL, sample } from "../harness/scale.ts";

/** Those that change something, or come just before or after one that does. */
const CALLS = [
  ...["sendto", "linkat", "unlinkat", "unlink", "renameat", "mkdir", "symlink"],
  ...["flock", "setns", "statx", "write", "openat"],
];
/** Where a sample is taken of what bridge and host-local share with the others. */
const FEW_CALLS = ["sendto", "unlink", "renameat", "write"];
/** Files that the runtime opens before the plugin begins. */
const STARTUP = /openat\(.*\/(?:lib|proc\/self\/exe|etc)|dist\/mesos-cni/;

interface Victim {
  type: string;
  config: Record<string, unknown>;
  /** What attaches the container before, as in a list. */
  after?: Record<string, unknown>;
  calls: readonly string[];
  /** How many moments of each call are tried where not all are. */
  moments: number;
}

const LEASED = { type: "host-local", subnet: "10.9.0.0/16", routes: [{ dst: "0.0.0.0/0" }] };
const network = (type: string, more: Record<string, unknown>) => ({
  cniVersion: "1.0.0",
  name: "net",
  type,
  ...more,
});
const sampled = { calls: FULL ? CALLS : FEW_CALLS, moments: 2 };
const chained = (type: string, more: Record<string, unknown>): Victim => (
  { type, config: network(type, more), after: NETWORK, ...sampled }
);

const VICTIMS: readonly Victim[] = [
  { type: "bridge", config: NETWORK, calls: CALLS, moments: 4 },
  { type: "ptp", config: network("ptp", { ipMasq: true, ipam: LEASED }), ...sampled },
  {
    type: "macvlan",
    config: network("macvlan", {
      master: "up0",
      ipam: { type: "static", addresses: [{ address: "10.8.0.2/24", gateway: "10.8.0.1" }] },
    }),
    ...sampled,
  },
  {
    type: "host-device",
    config: network("host-device", { device: "dev0", ipam: LEASED }),
    ...sampled,
  },
  chained("portmap", {
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
  }),
  chained("firewall", { backend: "iptables" }),
  chained("tuning", {
    mtu: 1400,
    promisc: true,
    sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1" },
  }),
  chained("bandwidth", {
    ...{ ingressRate: 1_000_000, ingressBurst: 1_000_000 },
    ...{ egressRate: 1_000_000, egressBurst: 1_000_000 },
  }),
  chained("sbr", {}),
];

for (const victim of partOf(VICTIMS, 5)) {
  Deno.test(`${victim.type} killed at its system calls, and deleted`, async () => {
    await using machine = await PluginMachine.create(VICTIMS.map(({ type }) => type));
    await using attempt = new Attempt(machine, victim);
    await attempt.prepare();
    let killed = 0;
    for (const command of ["ADD", "DEL"] as const) {
      for (const [call, moments] of await attempt.moments(command)) {
        for (const moment of moments) {
          await attempt.before(command);
          const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`];
          const inject = ["-e", `inject=${call}:signal=KILL:when=${moment}`];
          const { code } = await attempt.call(command, [...strace, ...inject]);
          if (code !== 0) killed++;
          await attempt.undo();
          assertEquals(
            await attempt.state(),
            attempt.clean,
            `${command} killed at ${call} ${moment}`,
          );
        }
      }
    }
    assert(killed >= (victim.moments > 2 ? 30 : 4), `only ${killed} calls were killed`);
    await attempt.before("DEL");
    await attempt.undo();
  });
}

/** One container that is attached and detached again and again. */
class Attempt implements AsyncDisposable {
  clean = "";
  #prevResult: unknown;

  constructor(private readonly machine: PluginMachine, private readonly victim: Victim) {}

  /** The machine, as it is after an ADD and a DEL that nobody disturbs. */
  async prepare(): Promise<void> {
    const { machine } = this;
    await machine.namespace("a");
    for (const name of ["up0", "dev0"]) {
      await machine.sandbox.ok(["ip", "link", "add", name, "type", "veth", "peer", `${name}-peer`]);
    }
    await this.before("DEL");
    await this.undo();
    this.clean = await this.state();
  }

  /** What comes before a command: for DEL that is its ADD. */
  async before(command: "ADD" | "DEL"): Promise<void> {
    if (this.victim.after) this.#prevResult = await this.machine.ok("ADD", "a", this.victim.after);
    if (command === "DEL") {
      const { code, stdout } = await this.call("ADD");
      assertEquals(code, 0, stdout);
    }
  }

  call(command: "ADD" | "DEL", prefix: string[] = []) {
    const config = this.#prevResult === undefined
      ? this.victim.config
      : { ...this.victim.config, prevResult: this.#prevResult };
    return this.machine.call(command, "a", config, "/run/ours", prefix);
  }

  /** DEL as a runtime calls it, in the reverse order. */
  async undo(): Promise<void> {
    const { code, stdout } = await this.call("DEL");
    assertEquals(code, 0, stdout);
    if (this.victim.after) await this.machine.ok("DEL", "a", this.victim.after);
  }

  /** The moments of each system call that are tried, by their number. */
  async moments(command: "ADD" | "DEL"): Promise<[call: string, moments: number[]][]> {
    const { calls, moments } = this.victim;
    await this.before(command);
    const trace = ["strace", "-f", "-qq", "-o", "/run/trace", "-e", `trace=${calls.join(",")}`];
    const { code, stdout } = await this.call(command, trace);
    assertEquals(code, 0, stdout);
    await this.undo();
    const lines = (await this.machine.sandbox.ok(["cat", "/run/trace"])).split("\n");
    return calls.map((call) => {
      const numbered = lines.filter((line) => line.includes(`${call}(`))
        .map((line, i) => [line, i + 1] as const)
        .filter(([line]) => !STARTUP.test(line)).map(([, moment]) => moment);
      return [call, sample(numbered, moments)];
    });
  }

  /** Links, addresses, routes, rules, queues and files. */
  async state(): Promise<string> {
    const links = "ip -o link | sed 's/^[0-9]*: //; s/@[^:]*//; s/state [A-Z]*//; s/qlen [0-9]*//'";
    const text = await this.machine.sandbox.ok([
      "sh",
      "-c",
      `${links} | grep -v '^br0:' | sort; tc qdisc | grep -v ' 0: ' | sort
       iptables-save | grep -v '^[#:]'; ip6tables-save | grep -v '^[#:]'; nft list ruleset
       find /run /var/lib/cni -type f ! -path '/run/ours/*' ! -path '/run/trace' \
         ! -name '*lock*' ! -name 'last_reserved*' | sort`,
    ]);
    const inside = await this.machine.inside("a", ["ip", "-o", "link"]);
    return (text + inside.stdout).replaceAll(/counter packets \d+ bytes \d+|link-netnsid \d+/g, "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.call("DEL");
  }
}

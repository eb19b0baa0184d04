/** A throwaway network for a case, and all that can be seen of it. */
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { type Output, type RunOptions, Sandbox } from "../harness/sandbox.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import { type CallStep, DIR, NS1, NS2, type Release, type Step, type Twin } from "./case.ts";

/** The reference: Debian's plugins, or another build of them. */
export const REFERENCE: string = Deno.env.get("TWINS_REFERENCE") ?? CNI_PLUGINS;
export const RELEASE: Release = REFERENCE === CNI_PLUGINS ? "debians" : "newest";
/** Where, in a case's own /run, ours are: links of their types to the program. */
export const OURS = "/run/twins/ours";

const TYPES = [
  ...["bridge", "ptp", "macvlan", "ipvlan", "vlan", "loopback", "host-device", "dummy"],
  ...["host-local", "static", "portmap", "firewall", "tuning", "bandwidth", "sbr", "vrf"],
];

/** What a step came to, and the network after it. */
export interface Seen {
  code: number;
  /** The result, or the error. */
  printed: JsonObject | undefined;
  state: string;
}

const QUIET_IPV6 = "net.ipv6.conf.default.dad_transmits=0 net.ipv6.conf.all.dad_transmits=0 " +
  "net.ipv6.conf.default.router_solicitations=0";
/** What ip is asked in one process. */
const BATCH = "/run/twins/batch";
const PREPARE = [
  "mkdir -p /run/twins/dir /run/twins/ours /etc/cni",
  `printf 'address\\nroute show table all\\nrule\\n' >${BATCH}`,
  "mount -t tmpfs tmpfs /etc/cni",
  `sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 ${QUIET_IPV6}`,
  ...[NS1, NS2].map((ns) => `: >${ns}; unshare --net=${ns} sysctl -qw ${QUIET_IPV6}`),
].join("\n");

/** Sysctls that plugins change, of every interface. */
const SYSCTLS = "cd /proc/sys/net; grep -H . ipv4/ip_forward ipv4/conf/*/arp_notify " +
  "ipv4/conf/*/arp_filter ipv4/conf/*/route_localnet " +
  "ipv6/conf/*/accept_dad ipv6/conf/*/enhanced_dad ipv6/conf/*/accept_ra " +
  "ipv6/conf/*/disable_ipv6 ipv6/conf/*/ndisc_notify ipv6/conf/*/keep_addr_on_down " +
  "ipv6/conf/*/forwarding core/somaxconn; cd /";
const LINKS = `ip -d -j -batch ${BATCH}`;
/**
 * A shell function that prints a network. Processes are most of what the twins cost, so that what
 * can't be there is not asked for: ports without a bridge, or iptables' rules where neither
 * nf_tables nor the older iptables has any.
 */
const NET = `net() {
  [ -n "$links" ] || links=$(${LINKS})
  echo "$links"
  ip -j -6 rule
  case $links in *bridge*) echo; bridge -d -j link; echo; bridge -j vlan;; esac
  echo; tc -d -j qdisc
  echo; ${SYSCTLS}
  rules=$(nft -n list ruleset 2>/dev/null)
  [ -z "$rules" ] && [ ! -s /proc/net/ip_tables_names ] && [ ! -s /proc/net/ip6_tables_names ] ||
    { echo iptables; iptables-save; echo ip6tables; ip6tables-save; echo nft; echo "$rules"; }
}`;
/** Waits a moment for addresses and signals that are still on their way. */
const SETTLE = `for i in 1 2 3 4 5 6 7 8 9 10; do
  links=$(${LINKS})
  case $links in
    *'"tentative":true'*) ;;
    *NO-CARRIER*) ip -o link | grep -q 'NO-CARRIER.*LOWER_UP' || break;;
    *) break;;
  esac
  [ $i = 10 ] || sleep 0.1
done`;
/** The kernel takes a namespace that nobody holds apart in its own time: links whose other end is there go then. */
const GONE = "for i in $(seq 100); do ip -o link | grep -q link-netnsid || exit 0; sleep 0.1; done";
const isUnmount = (step: Step) => "host" in step && step.host.join(" ").includes("umount");
/** Of each file its name and lines, by the shell itself. */
const FILES = `for f; do
  echo "file $f"
  while IFS= read -r line || [ -n "$line" ]; do printf "%s\\n" "$line"; done <"$f"
done`;
/** All that can be seen after a step, in the namespaces that a case uses. */
function capture(namespaces: readonly string[]): string {
  return [
    NET,
    SETTLE,
    "echo '## host'",
    "net",
    ...namespaces.map((ns) =>
      `echo '## ${ns}'; nsenter --net=${ns} sh -c '${NET.replaceAll("'", `'\\''`)}; net'`
    ),
    "echo '## files'",
    `find ${DIR} /var/lib/cni /run/cni -type f -exec sh -c '${FILES}' sh {} + 2>/dev/null; true`,
  ].join("\n");
}

/** Where commands run as root: a network, mounts, and /run and /var/lib, of their own. */
export interface Place extends AsyncDisposable {
  run(argv: string[], options?: RunOptions): Promise<Output>;
  /** The standard output of a command that must succeed. */
  ok(argv: string[], options?: RunOptions): Promise<string>;
}

let linked: string | undefined;

/** A directory with links to the program here, for all networks: a process for each link is most of what a network costs. */
function linkTypes(): string {
  const dir = Deno.makeTempDirSync({ prefix: "mesos-cni-test-" });
  for (const type of TYPES) Deno.symlinkSync(MESOS_CNI, `${dir}/${type}`);
  return dir;
}

export class TwinNetwork implements AsyncDisposable {
  private constructor(private readonly place: Place) {}

  /** @param program the path of ours in that place */
  static async create(place?: Place, program = MESOS_CNI): Promise<TwinNetwork> {
    const own = place ?? await Sandbox.create();
    const links = place === undefined
      ? [`cp -a ${linked ??= linkTypes()}/. ${OURS}`]
      : TYPES.map((type) => `ln -s ${program} ${OURS}/${type}`);
    await own.ok(["sh", "-ec", [PREPARE, ...links].join("\n")]);
    return new TwinNetwork(own);
  }

  /**
   * Does the steps of a case.
   *
   * @param directory of the plugins that a call runs, by its number
   */
  async run(twin: Twin, directory: (step: number) => string): Promise<Seen[]> {
    const seen: Seen[] = [];
    const usesSecond = JSON.stringify(twin.steps).includes(NS2);
    const all = capture(usesSecond ? [NS1, NS2] : [NS1]);
    for (const [i, step] of twin.steps.entries()) {
      const output = await this.#do(twin, step, directory(i), seen);
      seen.push({
        code: output.code,
        printed: parse(output.stdout),
        state: isUnmount(step) ? "" : await this.#state(all),
      });
    }
    return seen;
  }

  /** Without the time at which iptables-save ran. */
  async #state(capture: string): Promise<string> {
    return (await this.place.ok(["sh", "-c", capture])).replaceAll(/^# .*\n/gm, "");
  }

  async #do(twin: Twin, step: Step, directory: string, seen: readonly Seen[]): Promise<Output> {
    if ("host" in step) {
      const output = await this.place.run(step.host);
      if (isUnmount(step)) await this.place.run(["sh", "-c", GONE]);
      return output;
    }
    if ("in" in step) {
      return await this.place.run(["nsenter", `--net=${step.in}`, "--", ...step.argv]);
    }
    return await this.#call(twin, step, directory, seen);
  }

  async #call(
    { type }: Twin,
    { command, env, config, stdin, prevResultFrom, type: other }: CallStep,
    directory: string,
    seen: readonly Seen[],
  ): Promise<Output> {
    const variables = Object.entries({ CNI_COMMAND: command, CNI_PATH: directory, ...env })
      .filter((entry): entry is [string, string] => entry[1] !== null);
    const full = { ...config };
    if (prevResultFrom !== undefined) full.prevResult = seen[prevResultFrom]!.printed ?? null;
    return await this.place.run([`${directory}/${other ?? type}`], {
      stdin: stdin ?? JSON.stringify(full),
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...Object.fromEntries(variables) },
      clearEnv: true,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.place[Symbol.asyncDispose]();
  }
}

function parse(text: string): JsonObject | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * `./dev demo`: the port-mapper network of the documents, from an agent without anything to a
 * page read from outside, and back. Runs in a throwaway network, which `./dev` has made.
 *
 * It needs no CNI plugin and no program for networks; iptables and nft, where they are, only show
 * what was made.
 */
import $ from "@david/dax";
import { MESOS_CNI } from "../../tests/harness/binary.ts";
import { Netlink } from "../../lib/netlink/mod.ts";
import { command, note, output, step } from "./story.ts";
import { makeOutside, OUTSIDE_ADDRESS } from "./outside.ts";

const AGENT = "203.0.113.1";
const ID = "demo-web";
const PAGE = "Hello from inside the container.\n";

/** What belongs to the network and not to the container. */
const KEPT = [{
  pattern: /^mesos-cni0$|MESOS-TEST-PORT-MAPPER$/,
  why: "the bridge, and the jumps to the network's chain, stay for its next container",
}];

const dir = await Deno.makeTempDir({ prefix: "mesos-cni-demo-" });
const RUN = [
  ...["run", "--networks=port-mapper-test", "--port_mappings=8080:80", `--name=${ID}`],
  ...["--", "busybox", "httpd", "-f", "-h", `${dir}/www`],
];
try {
  await demo();
} finally {
  await Deno.remove(dir, { recursive: true });
}

async function demo(): Promise<void> {
  await $`mount -t tmpfs tmpfs /run`;
  await using outside = await makeOutside(AGENT);

  note(
    "mesos-cni gives the containers of a Mesos agent their networks. Here is one container's life,",
  );
  note("in a throwaway network: nothing of this machine is touched.");

  step("An agent, and a host that is not the agent");
  note(`  ${OUTSIDE_ADDRESS} outside  ───── wire ─────  ${AGENT} this agent (a throwaway network)`);

  step("A network for containers: one file on the agent");
  const config = await networkConfig();
  output(config);

  const before = await traces();
  step("A web server in a container of its own, at the agent's port 8080");
  await Deno.mkdir(`${dir}/www`);
  await Deno.writeTextFile(`${dir}/www/index.html`, PAGE);
  // As the agent's own environment would say it; later commands need no flag either.
  Deno.env.set("MESOS_NETWORK_CNI_CONFIG_DIR", `${dir}/networks`);
  const server = new Deno.Command(MESOS_CNI, { args: RUN, stdin: "null" }).spawn();
  command(`export MESOS_NETWORK_CNI_CONFIG_DIR=${dir}/networks`);
  command(["mesos-cni", ...RUN].join(" "));

  step("The host outside asks the agent, and the container answers");
  command(`wget -qO- http://${AGENT}:8080/`);
  output(await answer(outside.pid));

  step("What the container has");
  command(`mesos-cni inspect ${ID}`);
  output(await $`${MESOS_CNI} inspect ${ID}`.text());

  step("What leads there: the agent's rules for the port");
  await showRules();

  step("The server is stopped, and so is its container");
  Deno.kill(server.pid, "SIGTERM");
  const { code } = await server.status;
  note(`  exit code ${code}: 128 + SIGTERM`);
  proof(before, await traces());
  note(
    "\nNext: docs/tutorial.md does this step by step; dist/mesos-cni --help lists the commands.",
  );
}

/** By the program that there is, if any. */
async function showRules(): Promise<void> {
  const argv = await $.which("iptables")
    ? ["iptables", "-t", "nat", "-S", "MESOS-TEST-PORT-MAPPER"]
    : ["nft", "list", "map", "inet", "mesos-cni", "ports4"];
  if (!await $.which(argv[0]!)) {
    return note("  (there is no iptables or nft in PATH to list them; `inspect` has them above)");
  }
  command(argv.join(" "));
  output(await $`${argv}`.text());
}

/** The config as the documents have it, but for where addresses are kept. */
async function networkConfig(): Promise<string> {
  const example = new URL("../../examples/networks/port-mapper-test.conf", import.meta.url);
  const text = (await Deno.readTextFile(example)).replace(
    '"type": "host-local",',
    `"type": "host-local",\n      "dataDir": "${dir}/ipam",`,
  );
  await Deno.mkdir(`${dir}/networks`);
  await Deno.writeTextFile(`${dir}/networks/port-mapper-test.conf`, text);
  return text;
}

/** The page, as soon as the server is up. */
async function answer(outside: number): Promise<string> {
  const deadline = Date.now() + 10_000;
  while (true) {
    const wget = await $`nsenter --target=${outside} --net busybox wget -qO- http://${AGENT}:8080/`
      .stdout("piped").stderr("null").noThrow();
    if (wget.code === 0) return wget.stdout;
    if (Date.now() > deadline) throw new Error("the container did not answer within 10 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Everything of which a container leaves traces, by name. */
async function traces(): Promise<Record<string, string[]>> {
  using netlink = Netlink.open();
  return {
    "firewall rules": await rules(),
    "interfaces": netlink.links().map(({ name }) => name),
    "addresses in use": lines(
      await $`find ${dir}/ipam -name ${"1*"}`.stderr("null").noThrow().text(),
    ),
    "namespaces held": lines(await $`cat /proc/self/mountinfo`.text())
      // The seal is the agent's, below which all containers' handles lie.
      .filter((line) => line.includes("nsfs") && !line.includes("/.seal ")),
    "checkpoints": lines(
      await $`find /run/mesos/isolators -type f -not -name ${".*"}`.stderr("null").noThrow().text(),
    ),
  };
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

async function rules(): Promise<string[]> {
  const all: string[] = [];
  if (await $.which("iptables-save")) {
    all.push(...lines(await $`iptables-save`.text()).filter((line) => line.startsWith("-A")));
  }
  if (await $.which("nft")) {
    const map = await $`nft list map inet mesos-cni ports4`.stderr("null").noThrow().text();
    all.push(...lines(map).filter((line) => line.includes("elements")));
  }
  return all;
}

function proof(before: Record<string, string[]>, after: Record<string, string[]>): void {
  step("What is left");
  let left = 0;
  for (const [what, lines] of Object.entries(after)) {
    const extra = lines.filter((line) => !before[what]!.includes(line));
    const kept = extra.filter((line) => KEPT.some(({ pattern }) => pattern.test(line)));
    left += extra.length - kept.length;
    note(`  ${what.padEnd(18)} ${extra.length === 0 ? "none" : extra.join("\n" + " ".repeat(21))}`);
  }
  for (const { why } of KEPT) note(`  (${why})`);
  if (left > 0) throw new Error("the container has left something behind");
}

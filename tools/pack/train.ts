/**
 * Calls the program as agents do, so that V8 keeps what it makes of the functions that these calls
 * need. In a throwaway network and mount table, since containers are attached in earnest.
 *
 *     unshare --net --mount deno run train.ts TRAINER PROGRAM
 */

import { feed } from "../../lib/program/pipe.ts";

const ID = "trained";
const RUNTIME_DIR = "/run/mesos/isolators/network/cni";

interface Call {
  /** Its first word is the name that the program is called by. */
  words: readonly [string, ...string[]];
  env?: Record<string, string>;
  stdin?: string;
  /** Exit code. */
  code: number;
}

/**
 * @param trainer `trainer.ts`, compiled
 * @param scripts the directory of `gather.ts`, to which what V8 made is written
 * @returns what is to be said of calls that did not end as they must: their functions are missing
 */
async function train(trainer: string, scripts: string): Promise<string[]> {
  await run("mount", ["-t", "tmpfs", "tmpfs", "/run"]);
  await Deno.mkdir(`${RUNTIME_DIR}/${ID}`, { recursive: true });
  const netns = `${RUNTIME_DIR}/${ID}/ns`;
  await Deno.writeTextFile(netns, "");
  // The mount keeps the network; no process needs to be in it.
  await run("unshare", [`--net=${netns}`, "true"]);
  const failures: string[] = [];
  for (const call of calls(netns)) failures.push(...await make(call, trainer, scripts));
  return failures;
}

/** What frameworks call: the port mapper; a pod's loopback; and the list that podman and nerdctl make. */
function calls(netns: string): Call[] {
  const call = (command: string, config: Config): Call => ({
    words: [config.type],
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: ID,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/run/trained",
    },
    stdin: JSON.stringify(config),
    code: 0,
  });
  const lists = ["nftables", "iptables"].flatMap((backend, i) => [
    [mapper(backend, i)],
    list(backend, i + 2, netns),
  ]);
  return [
    // Which that plugin answers by its config.
    call("VERSION", mapper("nftables", 0)),
    // A second time, when there are bridges, chains and leases.
    ...[[loopback], ...lists, ...lists].flatMap((list) => [
      ...list.map((config) => call("ADD", config)),
      ...list.toReversed().map((config) => call("DEL", config)),
    ]),
    // Becoming the command would end the program before it has written anything.
    { words: ["mesos-cni", "netns", "exec", ID, "--", "/no/such/program"], code: 127 },
  ];
}

interface Config {
  cniVersion: string;
  name: string;
  type: string;
  [field: string]: unknown;
}

const loopback: Config = { cniVersion: "1.0.0", name: "trained", type: "loopback" };

function mapper(backend: string, index: number): Config {
  const { cniVersion, name, ...delegate } = bridge(backend, index);
  return {
    ...{ cniVersion, name, backend, delegate },
    type: "mesos-cni-port-mapper",
    chain: "TRAINED",
    excludeDevices: [delegate.bridge],
    runtimeConfig,
  };
}

function list(backend: string, index: number, netns: string): Config[] {
  const first = bridge(backend, index);
  const { cniVersion, name } = first;
  const interfaces = [{ name: first.bridge }, { name: "eth0", sandbox: netns }];
  const ips = [{ address: `10.${index}.0.2/16`, gateway: `10.${index}.0.1`, interface: 1 }];
  const prevResult = { cniVersion, interfaces, ips };
  return [
    first,
    { cniVersion, name, prevResult, type: "portmap", backend, runtimeConfig },
    { cniVersion, name, prevResult, type: "firewall", ingressPolicy: "same-bridge" },
    { cniVersion, name, prevResult, type: "tuning" },
  ];
}

const runtimeConfig = {
  portMappings: [
    { hostPort: 8080, containerPort: 80 },
    { hostPort: 8443, containerPort: 443, protocol: "udp" },
  ],
};

function bridge(backend: string, index: number) {
  return {
    cniVersion: "1.0.0",
    name: `trained${index}`,
    type: "bridge",
    bridge: `trained${index}`,
    isGateway: true,
    ipMasq: true,
    ipMasqBackend: backend,
    ipam: {
      type: "host-local",
      dataDir: "/run/leases",
      subnet: `10.${index}.0.0/16`,
      routes: [{ dst: "0.0.0.0/0" }],
    },
  };
}

async function make(
  { words, env = {}, stdin, code }: Call,
  trainer: string,
  scripts: string,
): Promise<string[]> {
  const [name, ...args] = words;
  await Deno.mkdir("/run/trained", { recursive: true });
  await Deno.symlink(trainer, `/run/trained/${name}`).catch(() => {}); // of a call before
  const child = new Deno.Command(`/run/trained/${name}`, {
    args,
    env: { ...env, MESOS_CNI_TRAINER: scripts },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await feed(child.stdin, stdin ?? "");
  const output = await child.output();
  if (output.code === code) return [];
  const said = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
  return [`${[...words, env.CNI_COMMAND].join(" ")} ended with ${output.code}: ${said.join("")}`];
}

async function run(command: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stderr: "piped" }).output();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
}

const [trainer, program] = Deno.args;
const failures = await train(await Deno.realPath(trainer!), await Deno.realPath(program!));
for (const failure of failures) console.error(failure);
Deno.exit(failures.length === 0 ? 0 : 1);

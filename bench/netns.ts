/** How long the debug shell keeps a person waiting. */
import { MESOS_CNI } from "../tests/harness/binary.ts";
import { Sandbox } from "../tests/harness/sandbox.ts";
import { CONTAINERS } from "../tests/harness/stock_agent.ts";
import { compileLeast } from "./startup.ts";
import { floor, goal, row, runProgram, shown, timeByTurns } from "./timing.ts";

const EXEC_ROUNDS = 31;
const EXEC_LIMIT = 1.5;
/** `exec` becomes the command at most this many ms later than an empty program ends. */
const EXEC_LATER_MS = 4;
const LIST_ROUNDS = 5;
const LIST_CONTAINERS = 1000;
const LIST_LIMIT_MS = 1000;
const LIST = `netns list, ${LIST_CONTAINERS} containers`;
const LEAST_EXEC = "the least program of this runtime that enters a namespace and becomes another";
const LEAST_LIST = "the least program of this runtime that asks each for its links and addresses";

export async function run(): Promise<void> {
  await using agent = await Sandbox.create();
  const empty = await compileLeast("empty");
  const leastExec = await compileLeast("exec");
  const leastList = await compileLeast("list");
  const pids = await makeContainers(agent, LIST_CONTAINERS);
  try {
    const inside = (...args: string[]) => {
      const [nsenter, ...rest] = agent.enter(args);
      return () => runProgram(nsenter!, rest);
    };
    const exec = await timeByTurns({
      "an empty compiled program": inside(empty),
      "netns exec ID -- true": inside(MESOS_CNI, "netns", "exec", "c7", "--", "true"),
      [LEAST_EXEC]: inside(leastExec, `${CONTAINERS}/c7/ns`, "true"),
      "ip netns exec ID true": inside("ip", "netns", "exec", "c7", "true"),
    }, EXEC_ROUNDS);
    const list = await timeByTurns({
      [LIST]: inside(MESOS_CNI, "netns", "list"),
      [LEAST_LIST]: inside(leastList, "/run/netns"),
    }, LIST_ROUNDS);
    console.log(row("command", "median (min … max)"));
    console.log(row("---", "---"));
    const all = { ...exec, ...list };
    for (const [name, timing] of Object.entries(all)) console.log(row(name, shown(timing)));
    const base = exec["an empty compiled program"].median;
    const ours = exec["netns exec ID -- true"].median;
    console.log("\n" + goal("exec, times an empty program", ours / base, EXEC_LIMIT));
    const later = "exec, later than an empty program";
    console.log(goal(later, ours - base, EXEC_LATER_MS, " ms"));
    console.log(floor(later, exec[LEAST_EXEC]!.median - base, LEAST_EXEC, " ms"));
    console.log(goal("list", list[LIST]!.median, LIST_LIMIT_MS, " ms"));
    console.log(floor("list", list[LEAST_LIST]!.median, LEAST_LIST, " ms"));
  } finally {
    for (const pid of pids) Deno.kill(pid, "SIGKILL");
  }
}

/**
 * Containers with a process, a veth and an address. The checkpoints are written here: so many
 * calls of a plugin would take minutes.
 */
async function makeContainers(agent: Sandbox, count: number): Promise<number[]> {
  const numbers = Array.from({ length: count }, (_, i) => i);
  const address = (i: number) => `10.${i >> 8}.${i & 255}.2`;
  const script = `mkdir -p ${CONTAINERS} /run/netns
    cd ${CONTAINERS}
    while read id address; do
      mkdir -p $id/net/eth0
      touch $id/ns
      printf '{"name":"net","type":"bridge"}' >$id/net/network.conf
      printf '{"ip4":{"ip":"%s/24"}}' $address >$id/net/eth0/network.info
      ln -s $PWD/$id/ns /run/netns/$id
      unshare --net=$id/ns sleep 600 </dev/null >/dev/null 2>&1 &
      echo $!
    done
    for id in c*; do
      until [ "$(stat -fc %T $id/ns)" = nsfs ]; do sleep 0.05; done
    done`;
  const pids = await agent.ok(["sh", "-ec", script], {
    stdin: numbers.map((i) => `c${i} ${address(i)}\n`).join(""),
  });
  await agent.ok(["ip", "-batch", "-"], {
    stdin: "link add cni0 type bridge\nlink set cni0 up\n" +
      numbers.map((i) =>
        `link add v${i} master cni0 type veth peer name eth0 netns c${i}\nlink set v${i} up\n`
      ).join(""),
  });
  for (const i of numbers) {
    await agent.ok(["ip", "-n", `c${i}`, "-batch", "-"], {
      stdin: `link set lo up\nlink set eth0 up\naddress add ${address(i)}/24 dev eth0\n`,
    });
  }
  const listed = JSON.parse(await agent.ok([MESOS_CNI, "netns", "list", "--json"]));
  const sick = listed.filter(({ health }: { health: string }) => health !== "ok");
  if (listed.length !== count || sick.length > 0) {
    throw new Error(`${listed.length} containers, not ok: ${JSON.stringify(sick.slice(0, 3))}`);
  }
  return pids.trim().split("\n").map(Number);
}

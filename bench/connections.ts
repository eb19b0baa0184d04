/**
 * How long a client waits for a connection to a container's port, alone and as the last of 10,000
 * mappings, on both backends.
 *
 * `./dev bench connections`
 */
import { fromFileUrl } from "@std/path";
import { PYTHON } from "../tests/harness/binary.ts";
import { asProgram, mapOthers } from "./attach/ours.ts";
import type { Backend } from "./attach/peer.ts";
import { goal, median, row, runProgram } from "./timing.ts";

const ECHO = fromFileUrl(new URL("../tests/harness/echo.py", import.meta.url));
const AGENT = "203.0.113.1";
const OTHERS = 10_000;
const CONNECTIONS = 300;
/** A port of the program's container, by its backend: see attach/ours.ts. */
const PORTS: Readonly<Record<Backend, number>> = { iptables: 2_520, nftables: 2_530 };

export async function run(): Promise<void> {
  await runProgram("sh", [
    "-ec",
    `ip link set lo up; mkdir -p /run/netns; ip netns add bench; ip address add ${AGENT}/32 dev lo`,
  ]);
  console.log(`Setting up a TCP connection to a container, medians of ${CONNECTIONS}:\n`);
  console.log(row("", "no other mappings", `the last of ${OTHERS}`));
  console.log(row("---", "--:", "--:"));
  const flat: string[] = [];
  for (const backend of ["iptables", "nftables"] as const) {
    const alone = await connect(backend);
    await mapOthers(backend, OTHERS);
    const among = await connect(backend);
    console.log(row(backend, ...[alone, among].map((ms) => `${ms.toFixed(3)} ms`)));
    if (backend === "nftables") {
      flat.push(
        goal("connection among 10000 mappings, beside alone, nftables", among / alone, 1.5),
      );
    }
  }
  console.log(`\n${flat.join("\n")}`);
}

/** The median of new connections to a container that is there for them alone, in ms. */
async function connect(backend: Backend): Promise<number> {
  const ours = await asProgram(backend);
  await ours.attach("bench");
  const server = new Deno.Command("ip", {
    args: ["netns", "exec", "bench", PYTHON, ECHO, "serve", "x", "80"],
    stdout: "piped",
  }).spawn();
  const reader = server.stdout.getReader();
  try {
    await reader.read();
    const samples: number[] = [];
    for (let i = 0; i < CONNECTIONS; i++) {
      const start = performance.now();
      const connection = await Deno.connect({ hostname: AGENT, port: PORTS[backend] });
      samples.push(performance.now() - start);
      connection.close();
    }
    return median(samples);
  } finally {
    server.kill("SIGKILL");
    await reader.cancel();
    await server.status;
    await ours.detach("bench");
  }
}

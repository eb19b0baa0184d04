/** Whether a container's packets leave the agent, and as whose. */
import { assertEquals } from "@std/assert";
import { PYTHON } from "./binary.ts";
import { end } from "./clinic.ts";
import type { Outside } from "./sandbox.ts";

/** Serves on a host outside, and says who a client is seen as. */
export async function serveOutside(outside: Outside): Promise<AsyncDisposable> {
  const child = outside.spawn([
    ...[PYTHON, "-c"],
    `
import socket
s = socket.create_server(("", 7000))
print("ready", flush=True)
while True:
    c, who = s.accept()
    c.sendall(who[0].encode())
    c.close()
`,
  ]);
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  return { [Symbol.asyncDispose]: () => end(child) };
}

/** Seconds for an answer that must come, on a busy machine. */
const PATIENCE = 60;
/** Seconds in which one that must not come would be here: the first packet is sent twice. */
const SILENCE = 1.5;

/**
 * As whom a container is seen outside; empty where no packet comes through.
 *
 * @param inside runs a command in the container's network
 */
export async function seenOutside(
  inside: (argv: string[]) => Promise<string>,
  { address }: Outside,
  seconds = PATIENCE,
): Promise<string> {
  const client = `
import socket
s = socket.socket()
s.settimeout(${seconds})
try:
    s.connect(("${address}", 7000))
    print(s.recv(100).decode(), end="")
except OSError:
    pass
`;
  return await inside([PYTHON, "-c", client]);
}

/** That no packet of a container comes through. */
export async function assertUnseen(
  inside: (argv: string[]) => Promise<string>,
  outside: Outside,
  why?: string,
): Promise<void> {
  assertEquals(await seenOutside(inside, outside, SILENCE), "", why);
}

/**
 * A server that answers with its name and who asked, and a client that asks it. Run by Deno:
 *
 *   echo.ts serve NAME PORT          TCP and UDP, IPv4 and IPv6; prints "ready"
 *   echo.ts ask tcp|udp ADDRESS PORT FROM-PORT PATIENCE-MS   prints the answer, or "no answer"
 */
import { createServer, Socket } from "node:net";
import process from "node:process";

const [mode, ...args] = process.argv.slice(2);
if (mode === "serve") await serve(args[0]!, Number(args[1]));
else {
  const [port, fromPort, patience] = args.slice(2).map(Number);
  console.log(await ask(args[0]!, args[1]!, port!, fromPort!, patience!));
  process.exit(0);
}

async function serve(name: string, port: number): Promise<void> {
  const answer = (from: string) => `${name} ${from.replace("::ffff:", "")}`;
  const tcp = createServer((peer) => {
    peer.on("error", () => {}); // a client that gave up
    peer.end(answer(peer.remoteAddress ?? ""));
  });
  await new Promise<void>((resolve) => tcp.listen(port, "::", resolve));
  // One socket for both families, as `::` is to Linux.
  const udp = Deno.listenDatagram({ transport: "udp", hostname: "::", port });
  console.log("ready");
  for await (const [, from] of udp) {
    const { hostname } = from as Deno.NetAddr;
    await udp.send(new TextEncoder().encode(answer(hostname)), from);
  }
}

/** Asks again, after errors too, until somebody answers or the time is over. */
async function ask(
  protocol: string,
  address: string,
  port: number,
  fromPort: number,
  patienceMs: number,
): Promise<string> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const left = end - performance.now();
    if (left <= 0) return "no answer";
    const asked = protocol === "udp"
      ? askUdp(address, port, fromPort, left)
      : askTcp(address, port, left);
    const answer = await asked.catch(() => undefined);
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The kernel sends the first packet again and again. */
function askTcp(address: string, port: number, timeoutMs: number): Promise<string> {
  const socket = new Socket();
  const timer = setTimeout(() => socket.destroy(new Error("too late")), timeoutMs);
  return new Promise<string>((resolve, reject) => {
    let text = "";
    socket.on("data", (bytes) => text += bytes);
    socket.on("end", () => text === "" ? reject(new Error("closed")) : resolve(text));
    socket.on("error", reject);
    socket.connect(port, address);
  }).finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}

async function askUdp(
  address: string,
  port: number,
  fromPort: number,
  timeoutMs: number,
): Promise<string> {
  const hostname = address.includes(":") ? "::" : "0.0.0.0";
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: fromPort });
  const send = () => socket.send(new Uint8Array(1), { transport: "udp", hostname: address, port });
  const again = setInterval(() => void send().catch(() => {}), 1000);
  let timer: number | undefined;
  try {
    await send();
    const tooLate = new Promise<undefined>((resolve) => timer = setTimeout(resolve, timeoutMs));
    const received = await Promise.race([socket.receive(), tooLate]);
    if (!received) throw new Error("too late");
    return new TextDecoder().decode(received[0]);
  } finally {
    clearInterval(again);
    clearTimeout(timer);
    socket.close();
  }
}

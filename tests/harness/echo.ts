/**
 * A server that answers with its name and who asked, and a client that asks it. Run by Deno:
 *
 *   echo.ts serve NAME PORT          TCP and UDP, IPv4 and IPv6; prints "ready"
 *   echo.ts ask tcp|udp ADDRESS PORT [FROM-PORT]   prints the answer, or "no answer"
 */
import { createServer, Socket } from "node:net";
import process from "node:process";

const [mode, ...args] = process.argv.slice(2);
if (mode === "serve") await serve(args[0]!, Number(args[1]));
else console.log(await ask(args[0]!, args[1]!, Number(args[2]), Number(args[3] ?? 0)));

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

function ask(protocol: string, address: string, port: number, fromPort: number): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => done("no answer"), 1000);
    const done = (answer: string) => {
      clearTimeout(timer);
      resolve(answer);
      setTimeout(() => process.exit(0));
    };
    if (protocol === "udp") {
      const hostname = address.includes(":") ? "::" : "0.0.0.0";
      const socket = Deno.listenDatagram({ transport: "udp", hostname, port: fromPort });
      socket.receive().then(([bytes]) => done(new TextDecoder().decode(bytes)));
      socket.send(new Uint8Array(1), { transport: "udp", hostname: address, port })
        .catch(() => done("no answer"));
      return;
    }
    const socket = new Socket();
    let text = "";
    socket.on("data", (bytes) => text += bytes);
    socket.on("end", () => done(text || "no answer"));
    socket.on("error", () => done("no answer"));
    socket.connect(port, address);
  });
}

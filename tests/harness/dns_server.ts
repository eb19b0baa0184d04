/**
 * A DNS server for tests, run on an outside host: `deno run dns_server.ts ADDRESS REFUSE-FILE`. It
 * knows no name, and while the file exists it refuses everybody.
 */
import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import process from "node:process";

const [address, refuseFile] = process.argv.slice(2) as [string, string];
const NXDOMAIN = 3;
const REFUSED = 5;

const socket = createSocket("udp4");
socket.on("message", (question, from) => {
  const answer = Buffer.from(question);
  answer[2] = 0x81;
  answer[3] = 0x80 | (existsSync(refuseFile) ? REFUSED : NXDOMAIN);
  socket.send(answer, from.port, from.address);
});
socket.bind(53, address, () => console.log("ready"));

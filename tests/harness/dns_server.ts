/**
 * A DNS server for tests, run on an outside host: `deno run dns_server.ts ADDRESS REFUSE-FILE`. It
 * knows one name, outside.test, which is its own address. While the file exists it answers what that
 * says: a code (REFUSED if it is empty), `slow` for a second and a half, `localhost` to refuse that.
 */
import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";

const [address, refuseFile] = process.argv.slice(2) as [string, string];
const NXDOMAIN = 3;
const REFUSED = 5;

const LOCALHOST = Buffer.from("\x09localhost\0", "latin1");
const NAME = Buffer.from("\x07outside\x04test\0", "latin1");
/** A pointer to the question's name, type A, class IN, a minute, four bytes. */
const RECORD = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
const octets = Buffer.from(address.split(".").map(Number));

const socket = createSocket("udp4");
socket.on("message", (question, from) => {
  // Every server knows the root, whose name is empty.
  const known = question.includes(NAME);
  const isRoot = question[12] === 0;
  const mode = existsSync(refuseFile) ? readFileSync(refuseFile, "utf8").trim() : undefined;
  const refused = mode === "localhost" && question.includes(LOCALHOST);
  const code = mode === undefined || mode === "slow" || mode === "localhost"
    ? undefined
    : mode === ""
    ? REFUSED
    : Number(mode);
  const answer = Buffer.concat([question, ...known ? [RECORD, octets] : []]);
  answer[2] = 0x81;
  answer[3] = 0x80 | (refused ? REFUSED : code ?? (known || isRoot ? 0 : NXDOMAIN));
  answer[7] = known ? 1 : 0;
  setTimeout(() => socket.send(answer, from.port, from.address), mode === "slow" ? 1500 : 0);
});
socket.bind(53, address, () => console.log("ready"));

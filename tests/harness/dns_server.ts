/**
 * A DNS server for tests, run on an outside host: `deno run dns_server.ts ADDRESS REFUSE-FILE`. It
 * knows outside.test, which is its own address, and six.outside.test, which has one of IPv6 alone. While the file exists it answers what that
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
const SIX = Buffer.from("\x03six\x07outside\x04test\0", "latin1");
const AAAA = 28;
/** A pointer to the question's name, type A, class IN, a minute, four bytes. */
const RECORD = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
const octets = Buffer.from(address.split(".").map(Number));
/** The same of type AAAA: 2001:db8:113::2. */
const RECORD_6 = Buffer.from([0xc0, 12, 0, AAAA, 0, 1, 0, 0, 0, 60, 0, 16]);
const octets6 = Buffer.from("20010db8011300000000000000000002", "hex");

const socket = createSocket("udp4");
socket.on("message", (question, from) => {
  // Every server knows the root, whose name is empty.
  const known = question.includes(NAME);
  const isSix = question.includes(SIX);
  const records = isSix
    ? question.readUInt16BE(12 + SIX.length) === AAAA ? [RECORD_6, octets6] : []
    : known
    ? [RECORD, octets]
    : [];
  const isRoot = question[12] === 0;
  const mode = existsSync(refuseFile) ? readFileSync(refuseFile, "utf8").trim() : undefined;
  const refused = mode === "localhost" && question.includes(LOCALHOST);
  const code = mode === undefined || mode === "slow" || mode === "localhost"
    ? undefined
    : mode === ""
    ? REFUSED
    : Number(mode);
  const answer = Buffer.concat([question, ...records]);
  answer[2] = 0x81;
  answer[3] = 0x80 | (refused ? REFUSED : code ?? (known || isRoot ? 0 : NXDOMAIN));
  answer[7] = records.length > 0 ? 1 : 0;
  setTimeout(() => socket.send(answer, from.port, from.address), mode === "slow" ? 1500 : 0);
});
socket.bind(53, address, () => console.log("ready"));

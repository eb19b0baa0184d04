/**
 * The least that a list of containers asks the kernel for: the links and addresses of each namespace below
 * the directory NETNS; nothing is made of the answers.
 */
const libc = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  setns: { parameters: ["i32", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

const [AF_NETLINK, SOCK_RAW, NETLINK_ROUTE] = [16, 3, 0] as const;
/** RTM_GETLINK and RTM_GETADDR (linux/rtnetlink.h). */
const LISTS = [18, 22];
const NLM_F_REQUEST_DUMP = 0x301;
const NLMSG_DONE = 3;

const [directory] = Deno.args;
const answer = new Uint8Array(64 << 10);
const messages = new DataView(answer.buffer);
let links = 0;
for (const { name } of Deno.readDirSync(directory!)) {
  const netns = libc.open(new TextEncoder().encode(`${directory}/${name}\0`), 0);
  if (libc.setns(netns, 0) !== 0) Deno.exit(1);
  const socket = libc.socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  for (const type of LISTS) {
    const request = new Uint8Array(32);
    const header = new DataView(request.buffer);
    header.setUint32(0, request.length, true);
    header.setUint16(4, type, true);
    header.setUint16(6, NLM_F_REQUEST_DUMP, true);
    libc.send(socket, request, BigInt(request.length), 0);
    while (!isDone(Number(libc.recv(socket, answer, BigInt(answer.length), 0))));
  }
  libc.close(socket);
  libc.close(netns);
}
if (links === 0) Deno.exit(1);

/** Counts the messages of an answer; whether the last one is among them. */
function isDone(length: number): boolean {
  for (let at = 0; at < length; at += (messages.getUint32(at, true) + 3) & ~3) {
    if (messages.getUint16(at + 4, true) === NLMSG_DONE) return true;
    links++;
  }
  return length <= 0;
}

/** `deno run flood.ts ADDRESS`: fills the table of connections with as many UDP flows as it takes. */
import { AF_INET, SOCK_DGRAM, Socket } from "../../lib/kernel/socket.ts";
import { socketAddress } from "../../lib/kernel/socket.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { readProcFile } from "../../lib/kernel/files.ts";

const [address] = Deno.args as [string];
const setting = (name: string) =>
  Number(readProcFile(`/proc/sys/net/netfilter/nf_conntrack_${name}`));
// The kernel makes room for new flows when the table is full, so the count comes near it only.
const full = 0.99 * setting("max");
const nothing = new Uint8Array(1);
const to = socketAddress(address, 0);
const port = new DataView(to.buffer);

while (setting("count") < full) {
  using socket = Socket.open(AF_INET, SOCK_DGRAM, 0);
  for (let number = 1; number < 65536; number++) {
    port.setUint16(2, number);
    try {
      socket.send(nothing, "send", to);
    } catch (error) {
      // EPERM: the table is full, so the packet was dropped.
      if (!(error instanceof SystemError)) throw error;
    }
  }
}

import { assertEquals } from "@std/assert";
import { flowsTo, forgetFlows } from "../../lib/nft/conntrack.ts";
import { PYTHON } from "../harness/binary.ts";
import { kernelTest } from "../harness/kernel.ts";

const PORT = 5353;
const COUNT = 1000;
const FLOOD = `
import socket
for port in range(20000, ${20000 + COUNT}):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", port))
        one.sendto(b"", ("127.0.0.1", ${PORT}))
`;

async function run(...argv: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(argv[0]!, { args: argv.slice(1) }).output();
  assertEquals(success, true, new TextDecoder().decode(stderr));
}

kernelTest(
  "a flood of flows is forgotten, and no other flow, some of which have ended",
  async () => {
    await run("ip", "link", "set", "lo", "up");
    await run("iptables", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP");
    await run(PYTHON, "-c", FLOOD);
    await run(PYTHON, "-c", FLOOD.replaceAll(`${PORT}`, `${PORT + 1}`));
    const flows = flowsTo(4, "udp", [PORT]);
    assertEquals(flows.length, COUNT);
    assertEquals(flowsTo(4, "udp", [PORT, PORT + 1], 100).length, 100);
    forgetFlows(4, flows.slice(0, 150));
    forgetFlows(4, flows);
    assertEquals(flowsTo(4, "udp", [PORT]), []);
    assertEquals(flowsTo(4, "udp", [PORT + 1]).length, COUNT);
  },
);

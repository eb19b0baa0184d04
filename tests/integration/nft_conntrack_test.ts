import { assertEquals } from "@std/assert";
import { flowsTo, forgetAllTo, forgetFlows } from "../../lib/nft/conntrack.ts";
import { forgetFlows as forgetMapped } from "../../lib/ports/flows.ts";
import { PYTHON } from "../harness/binary.ts";
import { kernelTest } from "../harness/kernel.ts";

const PORT = 5353;
const COUNT = 1000;

const flood = (address: string, port: number, count = COUNT) =>
  run(
    PYTHON,
    "-c",
    `
import socket
for port in range(20000, ${20000 + count}):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", port))
        one.sendto(b"", ("${address}", ${port}))
`,
  );

/** So that no answer that the port is closed begins a flow. */
async function begin(): Promise<void> {
  await run("ip", "link", "set", "lo", "up");
  await run("iptables", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP");
}

async function run(...argv: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(argv[0]!, { args: argv.slice(1) }).output();
  assertEquals(success, true, new TextDecoder().decode(stderr));
}

kernelTest(
  "a flood of flows is forgotten, and no other flow, some of which have ended",
  async () => {
    await begin();
    await flood("127.0.0.1", PORT);
    await flood("127.0.0.1", PORT + 1);
    const flows = flowsTo(4, "udp", [PORT]);
    assertEquals(flows.length, COUNT);
    assertEquals(flowsTo(4, "udp", [PORT, PORT + 1], 100).length, 100);
    forgetFlows(4, flows.slice(0, 150));
    forgetFlows(4, flows);
    assertEquals(flowsTo(4, "udp", [PORT]), []);
    assertEquals(flowsTo(4, "udp", [PORT + 1]).length, COUNT);
  },
);

kernelTest(
  "a port's flows are forgotten by where they go, also by a kernel that can't",
  async () => {
    const TO = PORT + 10;
    await begin();
    const counts = () => [TO, TO + 1].map((port) => flowsTo(4, "udp", [port]).length);
    await flood("127.0.0.1", TO, 2);
    await flood("127.0.0.2", TO, 3);
    await flood("127.0.0.1", TO + 1, 4);
    const [major, minor] = Deno.osRelease().split(".").map(Number);
    const isAble = major! > 6 || major === 6 && minor! > 10;
    const able = forgetAllTo(4, "udp", { destination: "127.0.0.1", port: TO });
    assertEquals(able, isAble ? true : undefined);
    assertEquals(counts(), [isAble ? 3 : 5, 4]);
    await flood("127.0.0.1", TO, 2 * COUNT);
    forgetMapped({
      mappings: [{ hostPort: TO, containerPort: 53, protocol: "udp" }],
      endpoints: [{ family: 4, address: "10.1.0.2", prefixLength: 24 }],
    });
    assertEquals(counts(), [0, 4]);
  },
);

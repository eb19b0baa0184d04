/**
 * The same interfaces, routes and rules by `ip` and `nft`, which do nothing else: what the kernel takes for
 * them, and the starts of three small programs. No isolator and no plugin can be far below.
 */
import { runProgram } from "../timing.ts";
import { NETNS, type Peer } from "./peer.ts";

const BRIDGE = "kernel0";
const NET = 62;
const FIRST_PORT = 2_000 + 10 * NET;
const TABLE = "ip kernel";

const ip = (lines: readonly string[]) =>
  runProgram("ip", ["-batch", "-"], { stdin: lines.join("\n") + "\n" });
const nft = (lines: readonly string[]) =>
  runProgram("nft", ["-f", "-"], { stdin: lines.join("\n") + "\n" });

export class Kernel {
  private constructor() {}

  /** Makes the bridge and the chains, which no attach makes. */
  static async prepare(): Promise<Kernel> {
    await ip([
      `link add ${BRIDGE} type bridge`,
      `link set ${BRIDGE} up`,
      `address add 10.${NET}.0.1/16 dev ${BRIDGE}`,
    ]);
    await nft([
      `add table ${TABLE}`,
      `add chain ${TABLE} in { type nat hook prerouting priority -100; }`,
      `add chain ${TABLE} out { type nat hook postrouting priority 100; }`,
    ]);
    return new Kernel();
  }

  /** @param netns of the container, as `ip link` takes it, and as a path */
  async attach(i: number, netns: string, path: string): Promise<void> {
    const address = `10.${NET}.${1 + (i >> 8)}.${i & 255}`;
    await ip([`link add kernel-${i} up master ${BRIDGE} type veth peer name eth0 netns ${netns}`]);
    await runProgram("nsenter", [`--net=${path}`, "ip", "-batch", "-"], {
      stdin: `link set lo up\nlink set eth0 up\naddress add ${address}/16 dev eth0\n` +
        `route add default via 10.${NET}.0.1\n`,
    });
    await nft([
      ...[80, 443].map((port, at) =>
        `add rule ${TABLE} in tcp dport ${FIRST_PORT + 2 * i + at} dnat to ${address}:${port}`
      ),
      `add rule ${TABLE} out ip saddr ${address} ip daddr != 10.${NET}.0.0/16 masquerade`,
    ]);
  }

  async detach(i: number): Promise<void> {
    await ip([`link delete kernel-${i}`]);
  }

  /** As a peer that is measured by turns with others. */
  peer(): Peer {
    return {
      name: KERNEL,
      attach: () => this.attach(0, "bench", NETNS),
      detach: async () => {
        await nft([`flush chain ${TABLE} in`, `flush chain ${TABLE} out`]);
        await this.detach(0);
      },
    };
  }
}

export const KERNEL = "the same by ip and nft alone";

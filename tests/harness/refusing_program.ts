/**
 * The firewall's room on a kernel that refuses whatever is sent to nf_tables over netlink, as one
 * whose buffers are too small does. Namespaces are a process's: so this is a program for a sandbox.
 * A line for each call says how it ended.
 */
import { NfTables } from "../../lib/firewall/nf_tables.ts";
import { FirewallTransaction } from "../../lib/firewall/transaction.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { Ports } from "../../lib/ports/reservation.ts";
import { remove } from "../../lib/ports/removal.ts";

const ENOBUFS = 105;
const PATH = Deno.env.get("PATH")!;
const OWNER = { containerId: "c1", network: "n", ifName: "eth0" };
const ENDPOINTS = [
  { family: 4, address: "10.9.0.2", prefixLength: 24 },
  { family: 6, address: "fd00:9::2", prefixLength: 64 },
] as const;

const apply = NfTables.prototype.apply;

async function refused(work: () => Promise<unknown>): Promise<void> {
  NfTables.prototype.apply = () => Promise.reject(new SystemError(ENOBUFS, "refused here"));
  try {
    await work();
    console.log("done");
  } catch (error) {
    console.log((error as { code?: string }).code ?? (error as Error).message);
  } finally {
    NfTables.prototype.apply = apply;
  }
}

async function add(backend: "iptables" | "nftables"): Promise<void> {
  const ports = await Ports.reserve(
    {
      ...OWNER,
      ...{ backend, chain: "REFUSED-TEST", snat: true, excludeDevices: [] },
      ...{ netns: "/run/netns/c1", startsWithProcess: false },
      mappings: [{ protocol: "tcp", hostPort: 8080, containerPort: 80 }],
    },
    PATH,
  );
  try {
    await ports.commit(ENDPOINTS, undefined);
  } catch (error) {
    await ports.giveBack();
    throw error;
  }
}

const CALLS: Record<string, () => Promise<void>> = {
  "iptables: DEL": async () => {
    await add("iptables");
    await refused(() => remove(OWNER, PATH));
  },
  "iptables: ADD again": async () => {
    await add("iptables");
    await refused(() => add("iptables"));
  },
  "nftables: ADD": () => refused(() => add("nftables")),
  "two works, of which one can't take back what it did": async () => {
    const addChain = { family: 4, table: "nat", chain: "-" } as const; // which no program makes
    const transaction = new FirewallTransaction(PATH);
    await transaction.add("first", async function* () {
      yield { families: [4], plan: () => [{ addChain }], what: "add a chain" };
    });
    await transaction.add("second", async function* () {
      try {
        yield { families: [4], plan: () => [], what: "change nothing" };
      } catch {
        throw new Error("what it wrote down could not be removed");
      }
    });
    await refused(() => transaction.commit());
  },
};

await CALLS[Deno.args[0]!]!();

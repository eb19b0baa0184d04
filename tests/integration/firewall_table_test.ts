/**
 * The firewall's drivers × its clients × what is done with them, each cell by real packets of both
 * families, on hosts that drop what they forward, as Docker leaves them. Each list is its own, beside
 * the code's: what is missing here is missing. The table is written to dist/tests/firewall-table.md.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { MESOS_CNI, PYTHON } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import {
  Agent,
  type Config,
  containerConfig,
  REQUESTS,
  type Running,
  until,
  type Waiting,
} from "../harness/agent.ts";
import type { Namespace, Outside } from "../harness/sandbox.ts";

type Driver = "nf_tables" | "legacy" | "nftables only" | "firewalld";
type Client = "masquerade" | "ports" | "portmap" | "firewall";
type Operation = "ADD" | "CHECK" | "status" | "recover" | "DEL" | "gc" | "network rm";

const DRIVERS: readonly Driver[] = ["nf_tables", "legacy", "nftables only", "firewalld"];
const OPERATIONS: readonly Operation[] = [
  ...["ADD", "CHECK", "status", "recover", "DEL", "gc", "network rm"] as const,
];
const FAMILIES = [4, 6] as const;
const AGENT = { 4: "203.0.113.1", 6: "2001:db8:113::1" } as const;
const NETWORK = "table";
const CHAIN = { ports: "TABLE-TEST", portmap: "MESOS-CNI-PORTMAP" } as const;
const PORT = 8080;

/** Cells that can't be, and why. */
const NONE: readonly [Driver | "*", Client, Operation, string][] = [
  ["*", "masquerade", "CHECK", "bridge's CHECK does not look at it, as the reference's"],
  ["*", "masquerade", "network rm", "nothing of it stays after the last container"],
  ["*", "firewall", "network rm", "CNI-FORWARD and the zone are of all networks"],
  ["nftables only", "ports", "network rm", "the table inet mesos-cni is of all networks"],
  ["nftables only", "portmap", "network rm", "the table inet mesos-cni is of all networks"],
];

const cells = new Map<string, string>();
const keyOf = (...parts: string[]) => parts.join(" | ");
const reasonOf = (driver: Driver, client: Client, operation: Operation) =>
  NONE.find(([d, c, o]) => (d === "*" || d === driver) && c === client && o === operation)?.[3];

const isThere = ["/usr/sbin/firewalld", "/usr/bin/dbus-daemon"].every((file) => {
  try {
    return Deno.statSync(file).isFile;
  } catch {
    return false;
  }
});

/** Answers on both families with a name and who asked. */
const SERVER = `
import socket, sys
s = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    c, who = s.accept()
    c.sendall((sys.argv[1] + " " + who[0].replace("::ffff:", "")).encode())
    c.close()
`;
/** Asks until somebody answers or the time is over. */
const ASKER = `
import socket, sys, time
end = time.monotonic() + float(sys.argv[3])
answer = ""
while not answer and time.monotonic() < end:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1) as s:
            s.settimeout(1)
            answer = s.recv(100).decode()
    except OSError:
        time.sleep(0.05)
print(answer, end="")
`;
const PATIENCE = "60";
const SILENCE = "1.5";

/** A host of a driver, with a host outside that serves. */
class Host implements AsyncDisposable {
  private constructor(readonly driver: Driver, readonly agent: Agent, readonly outside: Outside) {}

  static async create(driver: Driver, mapper: "ports" | "portmap"): Promise<Host> {
    const agent = await Agent.create();
    agent.search = undefined;
    const { sandbox } = agent;
    const bridge = {
      ...{ type: "bridge", bridge: "table0", isGateway: true, ipMasq: true },
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.218.0.0/24" }], [{ subnet: "fd00:218::/64" }]],
        routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
      },
    };
    const ports = mapper === "ports"
      ? { type: "mesos-cni-port-mapper", chain: CHAIN.ports, snat: true }
      : { type: "portmap", capabilities: { portMappings: true }, snat: true };
    const list: Config = { name: NETWORK, plugins: [bridge, ports, { type: "firewall" }] };
    agent.define({ cniVersion: "1.0.0", ...list }, `${NETWORK}.conflist`);
    // Which iptables a host has is told by a link of Debian's alternatives.
    const kind =
      { "nf_tables": "nft", firewalld: "nft", legacy: "legacy", "nftables only": "" }[driver];
    const links = ["iptables", "ip6tables"].flatMap((tool) =>
      ["", "-save", "-restore"].map((what) =>
        kind === "" ? `rm ${tool}${what}` : `ln -sf /usr/sbin/${tool}-${kind}${what} ${tool}${what}`
      )
    );
    await sandbox.ok([
      ...["sh", "-ec"],
      `cp -a /etc/alternatives ${sandbox.dir}/alternatives; cd ${sandbox.dir}/alternatives
       ${links.join("\n")}
       mount --bind ${sandbox.dir}/alternatives /etc/alternatives`,
    ]);
    const host = new Host(driver, agent, await sandbox.outside());
    await host.#close();
    await host.#serve(host.outside.enter([PYTHON, "-c", SERVER, "outside", "7000"]));
    return host;
  }

  /** The host forwards nothing that no rule lets through. */
  async #close(): Promise<void> {
    const { driver, agent: { sandbox } } = this;
    if (driver === "firewalld") {
      await sandbox.ok(["mkdir", "-p", "/run/dbus"]);
      this.agent.spawn(["dbus-daemon", "--system", "--nofork", "--nopidfile"]);
      this.agent.spawn(["firewalld", "--nofork"]);
      const state = ["firewall-cmd", "--state"];
      await until(async () => (await sandbox.run(state)).code === 0, "firewalld runs");
    } else if (driver === "nftables only") {
      const chain = "chain FORWARD { type filter hook forward priority 0; policy drop; }";
      const stdin = ["ip", "ip6"].map((of) => `table ${of} filter {\n${chain}\n}\n`).join("");
      await sandbox.ok(["nft", "-f", "-"], { stdin });
    } else for (const tool of this.#tools()) await sandbox.ok([tool, "-P", "FORWARD", "DROP"]);
  }

  /** What the operator lets in, in the chain that is his: the reference's firewall lets answers through. */
  async letPortsIn(): Promise<void> {
    const { driver, agent: { sandbox } } = this;
    if (driver === "nftables only") {
      for (const table of ["ip", "ip6"]) {
        const rule = `${table} filter CNI-ADMIN ct status dnat accept`;
        await sandbox.ok(["nft", "add", "rule", ...rule.split(" ")]);
      }
    } else if (driver !== "firewalld") {
      const dnat = ["-m", "conntrack", "--ctstate", "DNAT", "-j", "ACCEPT"];
      for (const tool of this.#tools()) await sandbox.ok([tool, "-A", "CNI-ADMIN", ...dnat]);
    }
  }

  #tools(): string[] {
    const kind = this.driver === "legacy" ? "legacy" : "nft";
    return ["iptables", "ip6tables"].map((tool) => `${tool}-${kind}`);
  }

  async #serve(argv: readonly string[]): Promise<Running> {
    const server = this.agent.spawn([...argv]);
    await server.printed(/ready/);
    return server;
  }

  readonly #servers = new Map<Waiting, Running>();

  /** Ends all processes of a container. */
  async end(container: Waiting): Promise<void> {
    await this.#servers.get(container)!.end();
    await container.end();
  }

  async attach(id: string, port: number): Promise<Waiting> {
    const mappings = [{ host_port: port, container_port: 80, protocol: "tcp" }];
    const infos = { network_infos: [{ name: NETWORK, port_mappings: mappings }] };
    await this.agent.json("prepare", [id], containerConfig({ ...infos }));
    const process = await this.agent.process();
    await this.agent.json("isolate", [id, `${process.pid}`]);
    const enter = ["nsenter", `--target=${process.pid}`, "--net"];
    this.#servers.set(process, await this.#serve([...enter, PYTHON, "-c", SERVER, id, "80"]));
    return process;
  }

  /** What a client sees of a cell: as whom the container is seen outside, or who answers at its port. */
  async seen(client: Client, family: 4 | 6, container: Waiting, patience: string): Promise<string> {
    const isPort = client === "ports" || client === "portmap";
    const { address, address6 } = this.outside;
    const [to, port] = isPort ? [AGENT[family], PORT] : [family === 4 ? address : address6, 7000];
    const from: Pick<Namespace, "ok"> = isPort ? this.outside : container;
    return await from.ok([PYTHON, "-c", ASKER, to, `${port}`, patience]);
  }

  /** Takes a client's rules away, as an operator or a program does who does not know of them. */
  async flush(client: Client): Promise<void> {
    const { driver, agent: { sandbox } } = this;
    if (client === "firewall" && driver === "firewalld") {
      const zone = ["firewall-cmd", "--zone=trusted"];
      const sources = await sandbox.ok([...zone, "--list-sources"]);
      const all = sources.trim().split(" ").map((source) => `--remove-source=${source}`);
      return void await sandbox.ok([...zone, ...all]);
    }
    if (driver === "nftables only") {
      const chains: Record<Client, string[]> = {
        masquerade: ["chain inet cni_plugins_masquerade masq_checks"],
        ports: ["map inet mesos-cni ports4", "map inet mesos-cni ports6"],
        portmap: ["map inet mesos-cni ports4", "map inet mesos-cni ports6"],
        firewall: ["chain ip filter CNI-FORWARD", "chain ip6 filter CNI-FORWARD"],
      };
      for (const one of chains[client]) await sandbox.ok(["nft", "flush", ...one.split(" ")]);
      return;
    }
    for (const tool of this.#tools()) {
      if (client === "firewall") await sandbox.ok([tool, "-F", "CNI-FORWARD"]);
      else if (client !== "masquerade") await sandbox.ok([tool, "-t", "nat", "-F", CHAIN[client]]);
      else {
        const saved = await sandbox.ok([`${tool}-save`, "-t", "nat"]);
        const [, chain] = /^-A (CNI-[0-9a-f]{24}) .*id: \\"c1\\"/m.exec(saved)!;
        await sandbox.ok([tool, "-t", "nat", "-F", chain!]);
      }
    }
  }

  /** The rules of a family that hold one of these, by client; and zones. */
  async rules(of: RegExp, client: Client, family: 4 | 6): Promise<string[]> {
    const { sandbox } = this.agent;
    const tool = family === 4 ? "iptables" : "ip6tables";
    const table = client === "firewall" ? "filter" : "nat";
    const isAlone = this.driver === "nftables only";
    // What nft wrote beside them, iptables does not print.
    const nft = ["nft", "list", "chain", family === 4 ? "ip" : "ip6", "filter", "CNI-FORWARD"];
    const save = isAlone && client === "firewall" ? nft : [`${tool}-nft-save`, "-t", table];
    const texts = [await sandbox.ok(save)];
    if (this.driver === "legacy") {
      texts.push(await sandbox.ok([`${tool}-legacy-save`, "-t", table]));
    }
    if (client !== "firewall") texts.push(await sandbox.ok(["nft", "list", "ruleset", "inet"]));
    else if (this.driver === "firewalld") {
      texts.push(await sandbox.ok(["firewall-cmd", "--zone=trusted", "--list-sources"]));
    }
    const isOfClient = client === "masquerade"
      ? /CNI-[0-9a-f]{24}|masq_checks|, net: /
      : client === "firewall"
      ? /./
      : /container_id|ports/;
    return texts.join("\n").split("\n").filter((line) => of.test(line) && isOfClient.test(line));
  }

  async command(...args: string[]): Promise<{ code: number; text: string }> {
    const { sandbox, flags } = this.agent;
    const { code, stdout, stderr } = await sandbox.run([MESOS_CNI, ...args, ...flags]);
    return { code, text: stdout + stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
  }
}

/** What each container's rules hold, of each family. */
const OWN = {
  c1: { 4: /10\.218\.0\.2\b/, 6: /fd00:218::2\b/ },
  c2: { 4: /10\.218\.0\.3\b/, 6: /fd00:218::3\b/ },
} as const;
const LOST: Readonly<Record<Client, RegExp>> = {
  masquerade: /c1: .*masquerade gone/,
  ports: /c1: .*port rules missing/,
  portmap: /c1: .*port rules missing/,
  firewall: /c1: .*passage gone/,
};

/** The others of portmap's list are those of the port mapper's. */
const LISTS: Readonly<Record<"ports" | "portmap", readonly Client[]>> = {
  ports: ["masquerade", "ports", "firewall"],
  portmap: ["portmap"],
};
const TABLE = DRIVERS.flatMap((driver) =>
  (["ports", "portmap"] as const).map((mapper) => ({ driver, mapper, clients: LISTS[mapper] }))
);
const chosen = partOf(TABLE, 8);
for (const { driver, mapper, clients } of chosen) {
  Deno.test({
    name: `${driver}: ${clients.join(", ")}, by packets`,
    ignore: driver === "firewalld" && !isThere,
  }, async (t) => {
    await using host = await Host.create(driver, mapper);
    const { agent } = host;
    /** One cell for each client and family. */
    const each = async (
      operation: Operation,
      check: (client: Client, family: 4 | 6) => void | Promise<void>,
      only: readonly Client[] = clients,
    ) => {
      for (const client of only) {
        const reason = reasonOf(driver, client, operation);
        for (const family of reason === undefined ? FAMILIES : []) {
          const holds = await t.step(
            `${client} ${operation} IPv${family}`,
            () => check(client, family),
          );
          const key = keyOf(driver, client, operation, `${family}`);
          if (cells.get(key) !== "✗") cells.set(key, holds ? "✓" : "✗");
        }
      }
    };
    const works = (container: Waiting, id: string) => async (client: Client, family: 4 | 6) => {
      const answer = await host.seen(client, family, container, PATIENCE);
      assertMatch(answer, client === mapper ? new RegExp(`^${id} `) : /^outside /);
      if (client === "masquerade") assertEquals(answer, `outside ${AGENT[family]}`);
    };
    const isSilent = (client: Client, family: 4 | 6, answer: string) =>
      client === "masquerade" ? answer !== `outside ${AGENT[family]}` : answer === "";

    const c1 = await host.attach("c1", PORT);
    await host.letPortsIn();
    await each("ADD", works(c1, "c1"));
    await t.step("CHECK and status of what is whole", async () => {
      const check = await agent.isolator("check", ["c1"]);
      assertEquals(check.code, 0, check.stderr);
      const { text } = await host.command("status");
      for (const lost of Object.values(LOST)) assert(!lost.test(text), text);
    });

    for (const client of clients) {
      await host.flush(client);
      const [check, { text }, ...answers] = await Promise.all([
        agent.isolator("check", ["c1"]),
        host.command("status"),
        ...FAMILIES.map((family) => host.seen(client, family, c1, SILENCE)),
      ]);
      const isLost = (family: 4 | 6) => {
        const answer = answers[FAMILIES.indexOf(family)]!;
        assert(isSilent(client, family, answer), `IPv${family} still works: ${answer}`);
      };
      await each("CHECK", (_, family) => {
        isLost(family);
        assertEquals(check.code, 1, "CHECK sees that they are gone");
      }, [client]);
      await each("status", (_, family) => {
        isLost(family);
        assertMatch(text, LOST[client]);
      }, [client]);
      await agent.json("recover");
      await each("recover", works(c1, "c1"), [client]);
    }

    const c2 = await host.attach("c2", PORT + 1);
    for (const client of clients) {
      for (const family of FAMILIES) {
        const { length } = await host.rules(OWN.c2[family], client, family);
        assert(length > 0, `${client} IPv${family}: rules of c2`);
      }
    }
    // All that is known of it goes, but not its rules.
    await host.end(c2);
    const state = "/run/mesos-cni";
    // An operator may trust any address: of a zone's sources, the record alone says whose one is.
    const passages = driver === "firewalld" ? "" : `${state}/firewall/passages/c2:*`;
    await agent.sandbox.ok([
      ...["sh", "-ec"],
      `umount ${agent.checkpoint("c2", "ns")}; umount ${REQUESTS}/handles/c2
       rm -r ${agent.checkpoint("c2")} ${REQUESTS}/handles/c2 ${agent.request("c2")}
       rm -f ${state}/port-mapper/attachments/c2:* ${passages}
       find ${state}/port-mapper -lname 'c2:*' -delete
       find ${state}/port-mapper/localnet -name 'c2:*' -delete
       grep -l c2 /var/lib/cni/networks/${NETWORK}/*[.:]* | xargs rm`,
    ]);
    await agent.wires("table0", 1);
    const garbage: { outcome: string; what: string }[] = await agent.json("gc", [
      "--json",
      "--apply",
    ]);
    assertEquals(garbage.filter(({ outcome }) => outcome !== "removed"), []);
    await each("gc", async (client, family) => {
      assertEquals(await host.rules(OWN.c2[family], client, family), []);
      await works(c1, "c1")(client, family);
    });

    const served = await host.attach("c2", PORT + 1);
    await host.end(c1);
    await agent.json("cleanup", ["c1"]);
    await each("DEL", async (client, family) => {
      assertEquals(await host.rules(OWN.c1[family], client, family), []);
      if (client !== mapper) return await works(served, "c2")(client, family);
      const answer = await host.seen(client, family, served, SILENCE);
      assert(isSilent(client, family, answer), answer);
    });
    await host.end(served);
    await agent.json("cleanup", ["c2"]);

    const removed = await host.command("network", "rm", NETWORK);
    await each("network rm", async (_client, family) => {
      assertEquals(removed.code, 0, removed.text);
      const tool = `${family === 4 ? "iptables" : "ip6tables"}-${
        driver === "legacy" ? "legacy" : "nft"
      }`;
      const saved = await agent.sandbox.ok([`${tool}-save`, "-t", "nat"]);
      assert(!saved.includes(CHAIN[mapper]), saved);
    });
  });
}

Deno.test("the table, each cell as it was seen", () => {
  const lines = [
    `| driver | client | ${OPERATIONS.join(" | ")} |`,
    `| --- | --- ${OPERATIONS.map(() => "| --- ").join("")}|`,
  ];
  const reasons: string[] = [];
  for (const { driver, clients } of chosen) {
    for (const client of clients) {
      const row = OPERATIONS.map((operation) => {
        const reason = reasonOf(driver, client, operation);
        if (reason === undefined) {
          return FAMILIES.map((family) =>
            `${cells.get(keyOf(driver, client, operation, `${family}`)) ?? "?"}${family}`
          )
            .join(" ");
        }
        const at = reasons.indexOf(reason);
        return `(${at >= 0 ? at + 1 : reasons.push(reason)})`;
      });
      lines.push(`| ${driver} | ${client} | ${row.join(" | ")} |`);
    }
  }
  const notes = reasons.map((reason, i) => `(${i + 1}) ${reason}`);
  const file = fromFileUrl(new URL("../../dist/tests/firewall-table.md", import.meta.url));
  Deno.writeTextFileSync(file, [...lines, "", ...notes, ""].join("\n"));
  const open = lines.filter((line) =>
    /[?✗]/.test(line) && (isThere || !line.includes("firewalld"))
  );
  assertEquals(open, []);
});

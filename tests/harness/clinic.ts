/**
 * An agent with a healthy container to make ill: bridge and port mapper, a neighbour on the same
 * network, an outside host with a DNS server.
 */
import { fromFileUrl } from "@std/path";
import { CNI_PLUGINS, MESOS_CNI, PYTHON } from "./binary.ts";
import { type Namespace, type Output, type Outside, Sandbox } from "./sandbox.ts";
import { until } from "./agent.ts";
import { pathWithout } from "./path_without.ts";
import { type NetworkConfig, StockContainer } from "./stock_agent.ts";

export const BRIDGE = "mesos-cni0";
export const CHAIN = "MESOS-TEST-PORT-MAPPER";
export const NETWORK = "port-mapper-test";
/** Ports of the agent that lead to the patient's 80, and to the neighbour's. */
export const PORT = 8080;
export const NEIGHBOUR_PORT = 8081;

/** The documents' port mapper over their bridge. */
const portMapperNetwork: NetworkConfig = {
  name: NETWORK,
  type: "mesos-cni-port-mapper",
  chain: CHAIN,
  excludeDevices: [BRIDGE],
  delegate: {
    type: "bridge",
    bridge: BRIDGE,
    isGateway: true,
    ipMasq: true,
    ipam: {
      type: "host-local",
      subnet: "10.1.0.0/16",
      routes: [{ dst: "0.0.0.0/0" }],
    },
    dns: { nameservers: ["203.0.113.2"] },
  },
};

const DUAL_STACK = {
  ...portMapperNetwork,
  delegate: {
    ...portMapperNetwork.delegate as object,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "10.1.0.0/16" }], [{ subnet: "2001:db8:1::/64" }]],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    },
  },
};

/** The documents' network, and variants of it. */
export const NETWORKS = {
  iptables: portMapperNetwork,
  nftables: { ...portMapperNetwork, backend: "nftables" },
  dualStack: DUAL_STACK,
  udp: portMapperNetwork,
  // With everything served by programs that a step can stop, and a way out by default.
  services: portMapperNetwork,
  servicesNftables: { ...portMapperNetwork, backend: "nftables" },
  servicesDual: DUAL_STACK,
  excluded: { ...portMapperNetwork, excludeDevices: [BRIDGE, "wan0"] },
  snat: { ...portMapperNetwork, snat: true },
  // Its containers reach their own ports by the agent's address, and rules see what the bridge passes.
  hairpin: { ...portMapperNetwork, snat: true, excludeDevices: [] },
  v6only: {
    ...portMapperNetwork,
    delegate: {
      ...portMapperNetwork.delegate as object,
      ipam: {
        type: "host-local",
        subnet: "2001:db8:1::/64",
        routes: [{ dst: "::/0" }],
      },
      dns: { nameservers: [] },
    },
  },
  ptp: {
    name: NETWORK,
    type: "ptp",
    ipMasq: true,
    ipam: { type: "host-local", subnet: "10.1.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
  },
  macvlan: {
    name: NETWORK,
    type: "macvlan",
    master: "wan0",
    ipam: {
      type: "host-local",
      subnet: "203.0.113.0/24",
      rangeStart: "203.0.113.100",
      gateway: "203.0.113.2",
    },
  },
  // Leads nowhere, and beside it a masqueraded one that does.
  two: {
    name: NETWORK,
    type: "bridge",
    bridge: BRIDGE,
    isGateway: true,
    ipam: { type: "host-local", subnet: "10.1.0.0/16" },
  },
  // Nothing leads out of it, by design; host-local names a gateway all the same.
  noGateway: {
    name: NETWORK,
    type: "bridge",
    bridge: BRIDGE,
    ipam: { type: "host-local", subnet: "10.1.0.0/16" },
  },
  large: {
    ...portMapperNetwork,
    delegate: { ...portMapperNetwork.delegate as object, mtu: 1376 },
  },
  // As other projects make them, by plugins of the same names in lookalikes/.
  calico: { name: NETWORK, type: "calico" },
  cilium: { name: NETWORK, type: "cilium" },
  weave: { name: NETWORK, type: "weave" },
  flannel: {
    name: NETWORK,
    type: "bridge",
    bridge: "cni0",
    mtu: 1450,
    isDefaultGateway: true,
    hairpinMode: true,
    ipMasq: false,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "10.244.1.0/24" }]],
      routes: [{ dst: "10.244.0.0/16" }],
    },
  },
} satisfies Record<string, NetworkConfig>;

const BESIDE: NetworkConfig = {
  name: "beside",
  type: "bridge",
  bridge: "beside0",
  isGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", subnet: "10.3.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
};

/** Networks that go by the agent's default route. */
const LOOKALIKES = ["calico", "cilium", "weave", "flannel"];

/** Of which the two containers map ports. */
const MAPPING = ["mesos-cni-port-mapper"];

export class Clinic implements AsyncDisposable {
  readonly #extra: StockContainer[] = [];

  private constructor(
    readonly agent: Sandbox,
    readonly outside: Outside,
    /** What is served, such as `patient http`, for tests to stop. */
    readonly services: Map<string, Deno.ChildProcess>,
    /** While this file exists, the DNS server refuses everybody. */
    readonly refuseFile: string,
    readonly plugins: string,
    readonly patient: StockContainer,
    readonly neighbour: StockContainer,
  ) {}

  /** @param kind the network of both containers */
  static async open(kind: keyof typeof NETWORKS = "iptables"): Promise<Clinic> {
    const network = NETWORKS[kind];
    const agent = await Sandbox.create();
    const outside = await agent.outside();
    const refuseFile = `${agent.dir}/refuse`;
    const isServed = kind.startsWith("services");
    const services = new Map<string, Deno.ChildProcess>();
    const dns = isServed
      ? await serve(outside, "dns", [outside.address])
      : await serveDns(outside, refuseFile);
    services.set("outside dns", dns);
    Deno.mkdirSync(`${agent.dir}/plugins`);
    Deno.symlinkSync(MESOS_CNI, `${agent.dir}/plugins/mesos-cni-port-mapper`);
    const isLike = LOOKALIKES.includes(kind);
    for (const name of isLike && kind !== "flannel" ? [kind, "common.sh"] : []) {
      const file = fromFileUrl(new URL(`lookalikes/${name}`, import.meta.url));
      Deno.symlinkSync(file, `${agent.dir}/plugins/${name}`);
    }
    if (isLike) await agent.ok(["ip", "route", "add", "default", "via", outside.address]);
    const plugins = `${agent.dir}/plugins:${CNI_PLUGINS}`;
    const mapping = kind === "udp"
      ? { container_port: 53, protocol: "udp" }
      : { container_port: 80 };
    const launch = (id: string, port: number) =>
      StockContainer.launch(agent, id, kind === "two" ? [network, BESIDE] : [network], {
        plugins,
        portMappings: MAPPING.includes(network.type)
          ? [
            { host_port: port, ...mapping },
            ...isServed && id === "patient"
              ? [{ host_port: 5353, container_port: 53, protocol: "udp" }]
              : [],
          ]
          : undefined,
        resolvConf: kind === "noGateway" || kind === "v6only" ? "" : undefined,
      });
    // The executors' agent; one that is served otherwise can be stopped.
    if (!isServed) await agent.ok(["busybox", "httpd", "-p", "5051", "-h", "/"]);
    const patient = await launch("patient", PORT);
    const neighbour = await launch("neighbour", NEIGHBOUR_PORT);
    if (isServed) {
      const all = kind === "servicesDual" ? ["0.0.0.0", "::"] : ["0.0.0.0"];
      services.set("patient http", await serve(patient, "http", all));
      services.set("patient udp", await serve(patient, "udp", all));
      services.set("neighbour http", await serve(neighbour, "http", all));
      services.set("agent 5051", await serve(agent, "5051", ["0.0.0.0"]));
      await agent.ok(["ip", "route", "add", "default", "via", outside.address]);
      if (kind === "servicesDual") {
        await agent.ok(["ip", "-6", "route", "add", "default", "via", outside.address6]);
      }
    }
    await untilSettled(agent);
    return new Clinic(agent, outside, services, refuseFile, plugins, patient, neighbour);
  }

  /** Another container, on any networks. */
  async admit(id: string, networks: NetworkConfig[], mapped?: number): Promise<StockContainer> {
    const container = await StockContainer.launch(this.agent, id, networks, {
      plugins: this.plugins,
      portMappings: mapped === undefined ? undefined : [{ host_port: mapped, container_port: 80 }],
    });
    this.#extra.push(container);
    return container;
  }

  /** The address of the patient. */
  get address(): string {
    return this.patient.addresses[0]!;
  }

  /** The agent's end of the patient's veth. */
  async veth(): Promise<string> {
    const [eth0] = JSON.parse(await this.patient.ok(["ip", "-j", "link", "show", "eth0"]));
    const links = JSON.parse(await this.agent.ok(["ip", "-j", "link"]));
    return links.find((link: { ifindex: number }) => link.ifindex === eth0.link_index).ifname;
  }

  /** `mesos-cni netns …` as on a bare agent. */
  netns(...args: string[]): Promise<Output> {
    const env = { PATH: pathWithout(this.agent.dir) };
    return this.agent.run([MESOS_CNI, "netns", ...args], { env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.patient, this.neighbour, ...this.#extra]) {
      await child[Symbol.asyncDispose]();
    }
    for (const service of this.services.values()) await end(service);
    await this.agent[Symbol.asyncDispose]();
  }
}

/** Starts one of the services of serve.py. */
export async function serve(
  space: Namespace,
  kind: string,
  addresses: string[],
): Promise<Deno.ChildProcess> {
  const script = fromFileUrl(new URL("serve.py", import.meta.url));
  return await started(space.spawn([PYTHON, script, kind, ...addresses]));
}

/** A DNS server on an outside host, until its process ends; see serve.py. */
export async function serveDns(outside: Outside, refuseFile: string): Promise<Deno.ChildProcess> {
  return await serve(outside, "names", [outside.address, refuseFile]);
}

/** Waits for a server to say that it listens. */
async function started(server: Deno.ChildProcess): Promise<Deno.ChildProcess> {
  const reader = server.stdout.getReader();
  const { done } = await reader.read();
  reader.releaseLock();
  if (done) throw new Error(await new Response(server.stderr).text());
  return server;
}

/** Ends a process and closes its pipes. */
export async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended.
  }
  await child.status;
  await child.stdin.close().catch(() => {});
  await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
}

/** A bridge's IPv6 address answers nobody until the kernel knows that nobody else has it. */
async function untilSettled(agent: Sandbox): Promise<void> {
  const tentative = ["ip", "-6", "-o", "address", "show", "tentative"];
  await until(
    async () => await agent.ok(tentative) === "",
    "no address is tentative",
    undefined,
    100,
  );
}

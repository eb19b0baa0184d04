/** Podman's netavark, in Rust, on nftables: a bridge with an address and two ports in one call. */
import { runProgram } from "../timing.ts";
import { mappings, NETNS, type Peer } from "./peer.ts";

/** The program, where one was built; else it is left out. */
const NETAVARK = Deno.env.get("NETAVARK");

export function netavark(): Peer[] {
  if (NETAVARK === undefined) return [];
  const call = async (command: "setup" | "teardown", id: string) => {
    await runProgram(NETAVARK, ["--config", "/run/netavark", command, NETNS], {
      clearEnv: true,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", NETAVARK_FW: "nftables" },
      stdin: JSON.stringify(request(id)),
    });
  };
  return [{
    name: "netavark, nftables",
    attach: (id) => call("setup", id),
    detach: (id) => call("teardown", id),
  }];
}

function request(id: string) {
  return {
    container_id: id.padEnd(64, "0"),
    container_name: id,
    networks: { bench: { interface_name: "eth0", static_ips: ["10.56.0.2"] } },
    network_info: {
      bench: {
        name: "bench",
        id: "be".repeat(32),
        driver: "bridge",
        network_interface: "nv-bench",
        subnets: [{ subnet: "10.56.0.0/16", gateway: "10.56.0.1" }],
        ipv6_enabled: false,
        internal: false,
        dns_enabled: false,
        ipam_options: { driver: "host-local" },
        options: {},
      },
    },
    port_mappings: mappings(2_560).map(({ hostPort, containerPort }) => ({
      host_ip: "",
      host_port: hostPort,
      container_port: containerPort,
      protocol: "tcp",
      range: 1,
    })),
  };
}

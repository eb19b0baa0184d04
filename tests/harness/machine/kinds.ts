/** Networks of the kinds of interfaces that this machine's kernel may lack. */
import { example } from "./agent.ts";

const local = (subnet: string) => ({ type: "host-local", subnet, routes: [{ dst: "0.0.0.0/0" }] });

/** Networks on the wire to the host outside, which has an address of each. */
export const NETWORKS = {
  vlan: { type: "vlan", master: "wan0", vlanId: 10, ipam: local("192.168.10.0/24") },
  ipvlan: { type: "ipvlan", master: "wan0", mode: "l2", ipam: local("192.168.20.0/24") },
  dummy: { type: "dummy", ipam: local("192.168.30.0/24") },
};

/** The same as configs. */
export const networks = () =>
  Object.entries(NETWORKS).map(([name, config]) => ({ cniVersion: "1.0.0", name, ...config }));

/** A bridge's container with its interface in a routing domain of its own. */
export const IN_VRF = {
  cniVersion: "1.0.0",
  name: "vrf",
  plugins: [
    { ...example("cni-test"), name: undefined, bridge: "vrf0", ipam: local("192.168.40.0/24") },
    { type: "vrf", vrfname: "red" },
  ],
};

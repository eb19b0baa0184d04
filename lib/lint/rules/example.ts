/** Configs for the examples of the rules. */

/** A value as JSON. */
export function json(value: unknown): string {
  return JSON.stringify(value, null, 2) + "\n";
}

/** A network with some fields; `undefined` leaves one of the usual ones out. */
export function network(fields: Record<string, unknown>): string {
  return json({ cniVersion: "1.0.0", name: "net", ...fields });
}

const SUBNET = { type: "host-local", subnet: "10.1.0.0/16", routes: [{ dst: "0.0.0.0/0" }] };

/** The fields of a bridge with a NAT, which work. */
export function bridgeFields(
  fields: Record<string, unknown> = {},
  ipam: Record<string, unknown> = {},
): Record<string, unknown> {
  const type = "bridge";
  return {
    type,
    bridge: "cni0",
    isGateway: true,
    ipMasq: true,
    ...fields,
    ipam: { ...SUBNET, ...ipam },
  };
}

/** A bridge network; fields of the bridge and of its ipam. */
export function bridge(
  fields: Record<string, unknown> = {},
  ipam: Record<string, unknown> = {},
): string {
  return network(bridgeFields(fields, ipam));
}

/** A network of one plugin with the usual addresses. */
export function attached(fields: Record<string, unknown>): string {
  return network({ ...fields, ipam: SUBNET });
}

/** A list of plugins. */
export function list(...plugins: Record<string, unknown>[]): string {
  return network({ plugins });
}

/** A port mapper with a bridge as its delegate. */
export function portMapper(
  fields: Record<string, unknown> = {},
  delegate: Record<string, unknown> = {},
): string {
  return network({
    type: "mesos-cni-port-mapper",
    chain: "MESOS-NET",
    excludeDevices: ["cni0"],
    delegate: { ...bridgeFields(), ...delegate },
    ...fields,
  });
}

/** A network of Calico with etcd. */
export function calico(fields: Record<string, unknown> = {}): string {
  return network({
    cniVersion: "0.3.1",
    type: "calico",
    etcd_endpoints: "https://10.0.0.1:2379",
    etcd_ca_cert_file: "/etc/calico/ca.pem",
    ...fields,
    ipam: { type: "calico-ipam" },
  });
}

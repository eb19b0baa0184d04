/** Host ports that the reference's portmap has, on a host where both have attached containers. */
import { ANY_ADDRESS, canonicalAddress, familyOfKnown } from "../base/ip.ts";
import { OperatorError } from "../base/error.ts";
import { type ReferencePort, referencePorts } from "../firewall/reference_ports.ts";
import { describeMapping, type Endpoint, type Mapping, type Owner } from "./mapping.ts";
import { meets } from "./orphans.ts";

/**
 * Refuses ports that the reference's portmap leads to another container: one of the two would get no
 * packet.
 *
 * @throws {OperatorError} `port_taken`, naming it
 */
export async function refuseReferencePorts(
  { containerId, mappings }: { containerId: string; mappings: readonly Mapping[] },
  path: string,
): Promise<void> {
  if (mappings.length === 0) return;
  for (const port of await referencePorts(path)) {
    if (port.containerId === containerId) continue;
    const { protocol, hostPort, family, hostAddress = ANY_ADDRESS[family] } = port;
    const mapping = mappings.find((one) => meets(one, { protocol, hostPort, hostAddress }));
    if (!mapping) continue;
    const network = port.network === undefined ? "" : `network ${port.network}, `;
    throw new OperatorError(
      "port_taken",
      `host port ${
        describeMapping(mapping)
      } is taken by container ${port.containerId} (${network}by ` +
        `the portmap of containernetworking/plugins, to ${port.to.address}); choose another port, or ` +
        "remove that container first; rules of one that is gone: mesos-cni gc --apply",
    );
  }
}

/** Whether the reference's portmap leads all mappings to the container. @throws {OperatorError} */
export async function isLedByReference(
  { containerId, network }: Owner,
  mappings: readonly Mapping[],
  endpoints: readonly Endpoint[],
  path: string,
): Promise<boolean> {
  const own = (await referencePorts(path)).filter((port) =>
    port.containerId === containerId && (port.network ?? network) === network
  );
  return mappings.every((mapping) =>
    endpoints.filter(({ family }) =>
      mapping.hostAddress === undefined || familyOfKnown(mapping.hostAddress) === family
    ).every((endpoint) => own.some((port) => leads(port, mapping, endpoint)))
  );
}

function leads(port: ReferencePort, mapping: Mapping, endpoint: Endpoint): boolean {
  const { hostAddress } = mapping;
  const isAny = hostAddress === undefined || hostAddress === ANY_ADDRESS[endpoint.family];
  return port.family === endpoint.family && port.protocol === mapping.protocol &&
    port.hostPort === mapping.hostPort && port.hostAddress === (isAny ? undefined : hostAddress) &&
    port.to.address === canonicalAddress(endpoint.address) &&
    port.to.port === mapping.containerPort;
}

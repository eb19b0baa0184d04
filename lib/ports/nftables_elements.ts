/** The elements of an attachment in the table of the nftables backend, each with its set. */
import type { SetElement } from "../nft/sets.ts";
import { commentOf, ledEndpoints, type PortAttachment, type Target, targets } from "./mapping.ts";
import { networkText, within } from "../base/ip.ts";

/** An element of the map or set of that name. */
export interface PlacedElement extends SetElement {
  set: string;
}

/** By which two elements are the same. */
export function nameOf({ set, key, value }: PlacedElement): string {
  return [set, ...key, ...value ? ["→", ...value] : []].join(" ");
}

/** The elements of an attachment, with its container's comment. */
export function ownElements(attachment: PortAttachment): PlacedElement[] {
  const comment = commentOf(attachment.containerId);
  const elements = targets(attachment).flatMap((target) => elementsOf(attachment, target));
  // Two host ports that lead to one container port need one element for the way back.
  return [
    ...new Map(elements.map((element) => [nameOf(element), { ...element, comment }])).values(),
  ];
}

function elementsOf(
  { excludeDevices, snat, masqueradeAll }: PortAttachment,
  target: Target,
): PlacedElement[] {
  const { mapping: { protocol, hostPort, containerPort }, endpoint, hostAddress } = target;
  const { family, address } = endpoint;
  const at = hostAddress === undefined ? [] : [hostAddress];
  const suffix = hostAddress === undefined ? "" : "_at";
  const port = [...at, protocol, hostPort];
  const value = [address, containerPort];
  const elements: PlacedElement[] = [{ set: `ports${family}${suffix}`, key: port, value }];
  for (const device of excludeDevices) {
    const kind = device.endsWith("+") ? "wildcards" : "excluded";
    elements.push({ set: `${kind}${family}${suffix}`, key: [device, ...port] });
  }
  if (!snat) return elements;
  elements.push({ set: `snat${family}`, key: [address, protocol, containerPort] });
  if (masqueradeAll) {
    const [all, bits] = family === 4 ? ["0.0.0.0/0", 32] : ["::/0", 128];
    elements.push({ set: `nearby${family}`, key: [all, `${address}/${bits}`] });
  }
  // One address of 127.0.0.0/8 is found in ports4_at.
  if (family === 4 && hostAddress === undefined) {
    elements.push({ set: "loopback4", key: port, value });
  }
  return elements;
}

/** Whether the networks of one element of `nearby…` hold those of another, from where and to where. */
export function covers(outer: PlacedElement, inner: PlacedElement): boolean {
  if (outer.set !== inner.set) return false;
  return outer.key.every((network, index) => holds(String(network), String(inner.key[index])));
}

function holds(outer: string, inner: string): boolean {
  const [address, length] = inner.split("/") as [string, string];
  return Number(length) >= Number(outer.split("/")[1]) && within(address, outer);
}

/** What is nearby for an attachment: shared by its network, so it has no comment and stays. */
export function nearbyElements(attachment: PortAttachment): PlacedElement[] {
  if (!attachment.snat) return [];
  return ledEndpoints(attachment).flatMap(({ family, address, prefixLength }) => {
    const subnet = networkText(address, prefixLength);
    const elements = [{ set: `nearby${family}`, key: [subnet, subnet] }];
    if (family === 4) elements.push({ set: "nearby4", key: ["127.0.0.0/8", "0.0.0.0/0"] });
    return elements;
  });
}

/** The container's addresses: lost, changed, or somebody else's too. */
import type { Address } from "../../netlink/mod.ts";
import { type Finding, inNetns, problem, shellText } from "../finding.ts";
import { BRIEF, whoHas } from "../packets/arp.ts";
import type { Attached, Scene } from "../scene.ts";

/** Asked once of a container, however many questions come to it. */
const asked = new WeakMap<Scene, Promise<Finding[]>>();

export function probeAddresses(scene: Scene): Promise<Finding[]> {
  let found = asked.get(scene);
  if (!found) asked.set(scene, found = askForAddresses(scene));
  return found;
}

async function askForAddresses(scene: Scene): Promise<Finding[]> {
  const findings = scene.interfaces.map(async (attached) => [
    ...missing(scene, attached).map((one) => isMask(scene, attached, one)),
    ...refused(scene, attached),
    ...await duplicates(scene, attached),
  ]);
  return (await Promise.all(findings)).flat();
}

/** With another mask an address is still its own: what fails by it, a question tells. */
function isMask({ inside }: Scene, { link, expected }: Attached, finding: Finding): Finding {
  const has = new Set(inside.addressesOf(link!).map(({ address }) => address));
  const isThere = finding.code === "address_differs" &&
    expected.every(({ address }) => has.has(address));
  return isThere ? { ...finding, level: "hint" } : finding;
}

/** Addresses that an interface was given and has no more. */
export function missing(scene: Scene, attached: Attached): Finding[] {
  const { ifName, link, expected } = attached;
  if (!link) return [];
  const actual = scene.inside.addressesOf(link).filter(({ scope }) => scope === "global");
  const given = expected.map(({ address, prefixLength }) => `${address}/${prefixLength}`);
  const others = actual.map(text).filter((one) => !given.includes(one));
  return expected.filter((one) =>
    !actual.some((has) => has.address === one.address && has.prefixLength === one.prefixLength)
  ).map(({ address, prefixLength, family }) => {
    const sameFamily = others.filter((one) => one.includes(":") === (family === 6));
    const evidence = [
      `the plugin gave it ${address}/${prefixLength}`,
      `${ifName} has ${actual.map(text).join(", ") || "no address"}`,
    ];
    return sameFamily.length > 0
      ? problem(
        "address_differs",
        ["address", "container"],
        `${ifName} of ${scene.name} has ${
          sameFamily.join(", ")
        } instead of ${address}/${prefixLength}`,
        evidence,
        "somebody changed it inside the container: what is not in the checkpoint may be given to " +
          "another container. Put the old one back, or restart the container",
      )
      : problem(
        "address_lost",
        ["address", "container"],
        `${ifName} of ${scene.name} has lost ${address}/${prefixLength}`,
        evidence,
        "add it again, and the routes that went with it",
        {
          what: `add ${address}/${prefixLength} to ${ifName}`,
          commands: [
            inNetns(
              scene.inside.netns,
              "ip",
              "address",
              "add",
              `${address}/${prefixLength}`,
              "dev",
              ifName,
            ),
            ...routesOf(attached).map((route) =>
              inNetns(scene.inside.netns, "ip", "route", "replace", ...route)
            ),
          ],
        },
      );
  });
}

/** An address or a hardware address of the container's that the agent has too. */
export function sharedWithAgent(scene: Scene, attached: Attached): Finding[] {
  const { host, name } = scene;
  const { expected, link, bridge, ifName } = attached;
  const addresses = expected.flatMap(({ address, prefixLength }) => {
    const owner = host.ownerOf(address);
    if (!owner) return [];
    const at = host.addressesOf(owner).find((one) => one.address === address);
    const command = [
      "ip",
      "address",
      "del",
      `${address}/${at?.prefixLength ?? prefixLength}`,
      "dev",
      owner.name,
    ];
    return [problem(
      "duplicate_address",
      ["duplicate", "agent"],
      `${address} of ${name} is also the agent's, on ${owner.name}: what is for the container the agent takes itself`,
      [`ip address: ${address} on ${owner.name}`],
      shellText(command),
      { what: `take ${address} off ${owner.name}`, commands: [command] },
    )];
  });
  const mac = link?.mac;
  if (mac === undefined || !bridge?.link || bridge.link.mac !== mac) return addresses;
  return [
    ...addresses,
    problem(
      "duplicate_mac",
      ["duplicate", "container"],
      `${ifName} of ${name} and ${bridge.name} have one hardware address, ${mac}: the bridge takes what is for the container itself`,
      [`ip link: ${bridge.name} ${mac}, ${ifName} ${mac}`],
      `give one of them another: ip link set ${bridge.name} address …`,
    ),
  ];
}

/** IPv6 finds out by itself that an address is another's, and does not use it (RFC 4862). */
export function refused(scene: Scene, { link, ifName }: Attached): Finding[] {
  if (!link) return [];
  return scene.inside.addressesOf(link).filter(({ flags }) => flags.includes("dadfailed")).map((
    { address },
  ) => {
    const owner = scene.ownerOf(address);
    return duplicate(scene, address, owner?.id, [
      `the kernel refuses to use ${address} on ${ifName}: duplicate address detection failed`,
    ]);
  });
}

/** Nobody else may answer for an address of ours (RFC 5227). */
async function duplicates(scene: Scene, { link, ifName }: Attached): Promise<Finding[]> {
  if (!link?.flags.includes("UP")) return [];
  const own = scene.inside.addressesOf(link).filter(({ family, scope }) =>
    family === "inet" && scope === "global"
  );
  const findings = own.slice(0, MOST_ADDRESSES).map(async ({ address }) => {
    const answers = await whoHas(scene.inside.netns, link, address, undefined, BRIEF);
    const others = answers.filter((mac) => mac !== link.mac);
    if (others.length === 0) return [];
    const owner = scene.ownerOf(address);
    return [duplicate(scene, address, owner?.id, [
      `asked on ${ifName} who has ${address}, ${
        others.join(", ")
      } answered; ${ifName} is ${link.mac}`,
    ])];
  });
  return (await Promise.all(findings)).flat();
}

function duplicate(
  { name }: Scene,
  address: string,
  owner: string | undefined,
  evidence: string[],
): Finding {
  return problem(
    "duplicate_address",
    ["duplicate", "neighbour"],
    `${address} of ${name} is also ${owner ? `container ${owner}'s` : "somebody else's"}`,
    [...evidence, ...owner ? [`the checkpoint of ${owner} has this address`] : []],
    owner
      ? "restart one of the two, and look why the address was given twice: two networks " +
        "with overlapping ranges, or an IPAM store that was emptied"
      : "find the machine by its hardware address, and keep the IPAM range to containers alone",
  );
}

/** An interface with hundreds of addresses is none of a container's usual ones. */
const MOST_ADDRESSES = 8;

function text({ address, prefixLength }: Address): string {
  return `${address}/${prefixLength}`;
}

/** The routes that went with an address, as `ip route` takes them. */
export function routesOf({ checkpoint, expected, ifName }: Attached): string[][] {
  return (checkpoint?.result?.routes ?? []).flatMap(({ dst, gw }) => {
    const via = gw ?? expected.find(({ family }) => (family === 6) === dst.includes(":"))?.gateway;
    return via === undefined ? [] : [[dst, "via", via, "dev", ifName]];
  });
}

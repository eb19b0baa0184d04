/** The container's addresses: lost, changed, refused, or somebody else's too. */
import { familyOfKnown } from "../../base/ip.ts";
import type { Address, Link } from "../../netlink/mod.ts";
import { networkAddresses } from "../../containers/network_address.ts";
import { type Cause, cause, type Fix, hint, inNetns, type Proof, removing, run } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import { type Attached, bridgeOf, type Scene } from "../scene.ts";
import { routesAgain } from "./route.ts";

export function readAddresses(scene: Scene): Look {
  const has = scene.interfaces.flatMap(({ ifName, link }) =>
    link ? globalOf(scene, link.index).map((one) => `${text(one)} on ${ifName}`) : []
  );
  const causes = scene.interfaces.flatMap((attached) => [
    ...missing(scene, attached),
    ...refused(scene, attached),
    ...sharedWithAgent(scene, attached),
    ...sharedWithOthers(scene, attached),
  ]);
  return has.length === 0 && causes.length === 0
    ? nothing("it has no address")
    : saw(has.join(", "), causes);
}

/** Addresses that an interface was given and has no more. */
export function missing(scene: Scene, attached: Attached): Cause[] {
  const { ifName, link, expected } = attached;
  if (!link) return [];
  const actual = globalOf(scene, link.index);
  const given = new Set(expected.map(text));
  return expected.flatMap((one): Cause[] => {
    const wanted = text(one);
    const ofFamily = actual.filter(({ family }) => (family === "inet6") === (one.family === 6));
    if (ofFamily.some((has) => text(has) === wanted)) return [];
    const others = ofFamily.filter((has) => !given.has(text(has)));
    const values = { container: scene.name, family: one.family, device: ifName };
    const proof = [
      `the plugin gave it ${wanted}`,
      `${ifName} has ${actual.map(text).join(", ") || "no address"}`,
    ];
    const reason = ["address", "container"] as const;
    if (others.length === 0) {
      const { netns } = scene.inside;
      const again = inNetns(netns, "ip", "address", "add", wanted, "dev", ifName);
      const fix = run(again, ...routesAgain(attached, netns));
      return [cause("address_lost", reason, { ...values, address: wanted }, proof, fix)];
    }
    const same = others.find(({ address }) => address === one.address);
    const about = { ...values, address: (same ? [same] : others).map(text).join(", "), wanted };
    // With another mask an address is still its own: what fails by it, a question tells.
    return same
      ? [hint("address_differs", reason, { ...about, why: "mask" }, proof)]
      : [cause("address_differs", reason, about, proof)];
  });
}

/** The same where a question has failed: then another mask may well be why. */
export function missingOf(scene: Scene, attached: Attached, family: 4 | 6): Cause[] {
  return missing(scene, attached).filter((one) => one.family === family).map((one) => ({
    ...one,
    level: "problem",
  }));
}

/**
 * Takes an address from the agent, as nothing of its network needs it: it is no gateway of containers', and
 * not the one that its link has.
 *
 * @param whole with its mask
 */
export function takenFrom({ host, agent }: Scene, link: Link, whole: string): Fix | undefined {
  const [address] = whole.split("/");
  const isGateway = agent.containers.flatMap(({ attachments }) => attachments)
    .flatMap(networkAddresses).some(({ gateway }) => gateway === address);
  const others = host.globalsOf(link, familyOfKnown(whole)).filter((one) =>
    one.address !== address
  );
  return isGateway || others.length === 0 && link.kind !== "loopback"
    ? undefined
    : removing(`${whole} from the agent`, ["ip", "address", "del", whole, "dev", link.name]);
}

/** An address or a hardware address of the container's that the agent has too. */
export function sharedWithAgent(scene: Scene, attached: Attached): Cause[] {
  const { host, name: container } = scene;
  const { expected, link, bridge, ifName } = attached;
  const addresses = expected.flatMap(({ address, prefixLength, family }) => {
    const owner = host.ownerOf(address);
    if (!owner) return [];
    const at = host.addressesOf(owner).find((one) => one.address === address);
    const whole = `${address}/${at?.prefixLength ?? prefixLength}`;
    return [cause(
      "duplicate_address",
      ["duplicate", "agent"],
      { container, family, address, device: owner.name, why: "agent" },
      [`ip address: ${address} on ${owner.name}`],
      takenFrom(scene, owner, whole),
    )];
  });
  const mac = link?.mac;
  if (mac === undefined || !bridge?.link || bridge.link.mac !== mac) return addresses;
  return [
    ...addresses,
    cause("duplicate_mac", ["duplicate", "container"], {
      container,
      device: ifName,
      other: bridge.name,
      mac,
    }, [`ip link: ${bridge.name} ${mac}, ${ifName} ${mac}`]),
  ];
}

/** IPv6 finds out by itself that an address is another's, and does not use it (RFC 4862). */
export function refused(scene: Scene, { link, ifName }: Attached): Cause[] {
  if (!link) return [];
  return scene.inside.addressesOf(link).filter(({ flags }) => flags.includes("dadfailed"))
    .map(({ address }) =>
      duplicate(scene, address, [
        `the kernel refuses to use ${address} on ${ifName}: duplicate address detection failed`,
      ])
    );
}

/** Another container that was given the address, on the same network or bridge. */
function sharedWithOthers(scene: Scene, { expected, checkpoint, bridge }: Attached): Cause[] {
  return expected.flatMap(({ address }) =>
    scene.agent.holdersOf(address).some(({ id, namespaceAlive, attachments }) =>
        id !== scene.container?.id && namespaceAlive &&
        attachments.some((one) =>
          networkAddresses(one).some((has) => has.address === address) &&
          (one.network === checkpoint?.network ||
            bridge !== undefined && bridgeOf(one) === bridge.name)
        )
      )
      ? [duplicate(scene, address, [])]
      : []
  );
}

/** An address that somebody else has or answers for. */
export function duplicate(scene: Scene, address: string, seen: readonly Proof[]): Cause {
  const other = scene.ownerOf(address)?.id;
  return cause("duplicate_address", ["duplicate", "neighbour"], {
    container: scene.name,
    family: address.includes(":") ? 6 : 4,
    address,
    other,
  }, [...seen, ...other ? [`the checkpoint of ${other} has this address`] : []]);
}

function globalOf({ inside }: Scene, link: number): Address[] {
  return inside.addresses.filter((one) => one.link === link && one.scope === "global");
}

function text({ address, prefixLength }: { address: string; prefixLength: number }): string {
  return `${address}/${prefixLength}`;
}

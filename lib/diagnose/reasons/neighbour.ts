/** The gateway: whether it answers, and whether it is the right one that does. */
import { type Address, type Link, Netlink } from "../../netlink/mod.ts";
import { gatewaysOf } from "../gateways.ts";
import { type Finding, inNetns, problem } from "../finding.ts";
import { answersFor } from "../packets/who_has.ts";
import type { Attached, Scene } from "../scene.ts";
import { within } from "../../packetpath/walk.ts";
import type { NamespaceView } from "../../netlink/view.ts";

/** Its random delay and its one question of a second (RFC 4862), and some more. */
const DETECTION_MS = 3000;

/** Whether somebody else answers for a gateway, or the container's table has somebody else for it. */
export function wrongAnswers(scene: Scene): Promise<Finding[]> {
  let found = asked.get(scene);
  if (!found) asked.set(scene, found = askForGateways(scene));
  return found;
}

/** Asked once of a container, however many questions come to it. */
const asked = new WeakMap<Scene, Promise<Finding[]>>();

async function askForGateways(scene: Scene): Promise<Finding[]> {
  const findings = scene.interfaces.flatMap((attached) =>
    attached.link?.flags.includes("UP")
      ? gatewaysOf(scene, attached).map((gateway) => probeGateway(scene, attached, gateway))
      : []
  );
  return (await Promise.all(findings)).flat();
}

async function probeGateway(scene: Scene, attached: Attached, gateway: string): Promise<Finding[]> {
  const { inside, host } = scene;
  const link = attached.link!;
  const owner = host.ownerOf(gateway);
  const source = sourceFor(scene, link, gateway);
  if (gateway.includes(":")) await Promise.all([settled(inside), settled(host)]);
  const answers = await answersFor(inside.netns, link, gateway, source);
  if (answers.length === 0) return [];
  return wrongAnswer(scene, attached, gateway, answers, owner);
}

/** Waits for duplicate address detection: until it is over, an IPv6 address gives no answer. */
async function settled({ netns }: NamespaceView): Promise<void> {
  using netlink = Netlink.open(netns);
  const end = performance.now() + DETECTION_MS;
  const isTentative = ({ flags }: Address) =>
    flags.includes("tentative") && !flags.includes("dadfailed");
  while (performance.now() < end && netlink.addresses().some(isTentative)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function wrongAnswer(
  scene: Scene,
  attached: Attached,
  gateway: string,
  answers: readonly string[],
  owner: Link | undefined,
): Finding[] {
  const { ifName, link } = attached;
  const { inside } = scene;
  const right = owner?.mac;
  // A router of the agent's that answers by proxy ARP does so with the end of the veth.
  const proxies = [attached.hostEnd?.mac, attached.bridge?.link?.mac];
  const wrong = right === undefined
    ? (answers.length > 1 ? answers : [])
    : answers.filter((mac) => mac !== right && !proxies.includes(mac));
  if (wrong.length > 0) {
    const owners = wrong.map((mac) => {
      const { link, container } = scene.ownerOfMac(mac) ?? {};
      return `${mac} is ${
        link === undefined
          ? "not of this agent"
          : `${link} of ${container === undefined ? "this agent" : `container ${container}`}`
      }`;
    });
    return [problem(
      "gateway_wrong_mac",
      ["neighbour", "container"],
      `${wrong.join(" and ")} answer${wrong.length > 1 ? "" : "s"} for the gateway ${gateway}`,
      [
        `asked on ${ifName} who has ${gateway}, ${answers.join(", ")} answered`,
        ...right === undefined ? [] : [`${owner!.name}, whose address it is, has ${right}`],
        ...owners,
      ],
      wrong.map((mac) => silence(scene, mac, gateway, owner)).join("; "),
    )];
  }
  const cached = inside.neighbours.find((one) =>
    one.address === gateway && one.link === link!.index
  );
  if (cached?.mac === undefined || answers.includes(cached.mac)) return [];
  return [problem(
    "gateway_wrong_mac",
    ["neighbour", "container"],
    `${scene.name} sends what is for the gateway ${gateway} to ${cached.mac}`,
    [
      `its neighbour table has ${cached.mac} (${cached.state}); ${answers.join(", ")} answers`,
    ],
    "the entry was made by hand, or is older than the gateway: remove it",
    {
      what: `forget ${cached.mac} for ${gateway}`,
      commands: [inNetns(inside.netns, "ip", "neighbour", "del", gateway, "dev", ifName)],
    },
  )];
}

/** How to make a hardware address answer for the gateway no more. */
function silence(scene: Scene, mac: string, gateway: string, owner: Link | undefined): string {
  const { link, container } = scene.ownerOfMac(mac) ?? {};
  if (link === undefined) {
    return "another machine has the gateway's address, by mistake or on purpose: find it by " +
      `${mac} in the tables of the switches, and take the address from it`;
  }
  if (container !== undefined) {
    return `container ${container} has the gateway's address or answers for it: stop it, or look ` +
      `at ${link} there: mesos-cni netns exec ${container} -- ip address show ${link}`;
  }
  // The kernel answers on every interface for every address of the machine.
  return owner
    ? `${link} of this agent is on the same wire as ${owner.name} and answers for its addresses ` +
      `too: take ${link} off that wire`
    : `${link} of this agent answers for an address that the agent does not have: ` +
      `sysctl -w net.ipv4.conf.${link}.proxy_arp=0, and look for ${gateway} in ip neighbour show proxy`;
}

/** The container's address to ask from, or none if it has none in the gateway's subnet. */
function sourceFor({ inside }: Scene, link: Link, gateway: string): string | undefined {
  return inside.addressesOf(link).find(({ family, address, prefixLength }) =>
    family === "inet" && within(gateway, `${address}/${prefixLength}`)
  )?.address;
}

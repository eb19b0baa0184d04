/** Can it reach its neighbours on the network, by TCP? */
import { between, type Ends, endsOf } from "../journey.ts";
import { tryConnect } from "../packets/tcp.ts";
import type { Agent } from "../../facts/agent.ts";
import { pluginOf, Scene } from "../../facts/scene.ts";
import { sockets } from "../../netlink/sockets.ts";
import { NamespaceView } from "../../netlink/view.ts";
import { networkAddresses } from "../../containers/network_address.ts";
import { answersFor } from "../packets/who_has.ts";
import { answered, failed, failedBy, type Question, unasked } from "./question.ts";

/** One is enough to tell; a second tells whether it is the neighbour's own. */
const MOST = 2;
/** Discard (RFC 863): usually nobody listens there, and the kernel says so. */
const CLOSED_PORT = 9;
const TIMEOUT_MS = 900;

/** @param open keeps the scenes of the neighbours until the diagnosis is over */
export function neighbourQuestions(
  agent: Agent,
  scene: Scene,
  open: (scene: Scene) => void,
): Question[] {
  if (!scene.container) return [];
  return scene.interfaces.flatMap((attached) => {
    const ends = endsOf(scene, attached);
    const bridge = attached.bridge?.name;
    if (!ends || bridge === undefined) return [];
    const others = agent.containers.filter((other) =>
      other.id !== scene.container!.id && other.mode === "own" && other.namespaceAlive &&
      other.processAlive &&
      other.attachments.some((one) =>
        one.network === attached.checkpoint?.network && pluginOf(one, "bridge") !== undefined
      )
    ).slice(0, MOST);
    return others.flatMap((other) => {
      const theirs = Scene.of(agent, { name: other.id, netns: other.netns, id: other.id });
      open(theirs);
      const their = theirs.interfaces.find(({ bridge: one, checkpoint }) =>
        one?.name === bridge && checkpoint?.network === attached.checkpoint?.network
      );
      const far = their && endsOf(theirs, their, "neighbour");
      return far ? ask(scene, ends, theirs, far) : [];
    });
  });
}

function ask(scene: Scene, ends: Ends, theirs: Scene, far: Ends): Question[] {
  const families = ([4, 6] as const).filter((family) =>
    ends.attached.expected.some((one) => one.family === family)
  );
  return families.flatMap((family): Question[] => {
    const address = networkAddresses(far.attached.checkpoint!).find((one) => one.family === family)
      ?.address;
    if (address === undefined) return [];
    const port = sockets(theirs.inside as NamespaceView).find(({ protocol, state, localAddress }) =>
      protocol === "tcp" && state === "LISTEN" &&
      (localAddress === address || localAddress === "::" ||
        (family === 4 && localAddress === "0.0.0.0"))
    )?.localPort ?? CLOSED_PORT;
    return [
      {
        topic: "neighbour",
        text: `reaches its neighbour ${theirs.name} at ${address}`,
        family,
        journey: between(ends, far),
        protocol: "tcp",
        destination: address,
        port,
        far: { scene: theirs, attached: far.attached },
        neighbours: [
          address,
          ...ends.attached.expected.map((one) =>
            one.address
          ),
        ],
        async ask(token, session) {
          const outcome = await tryConnect(scene.inside.netns, address, port, TIMEOUT_MS, token);
          if (outcome === "connected") {
            return answered(`port ${port} takes a connection`);
          }
          const refusedThere = session.of(token).some(({ at, direction, packet }) =>
            at === far.eth.point.name && direction === "out" && packet.destinationPort === token
          );
          if (outcome === "ECONNREFUSED" && refusedThere) {
            return answered(`it answers that nobody listens on ${port}`);
          }
          return failedBy(outcome);
        },
      },
      ...finds(scene, ends, theirs, far, family),
      ...foundBy(ends, theirs, far, family),
    ];
  });
}

/** Whether the container finds the neighbour, by ARP: what it knows of it already may be old. */
function finds(scene: Scene, ends: Ends, theirs: Scene, far: Ends, family: 4 | 6): Question[] {
  const own = ends.attached.expected.find((one) => one.family === family)?.address;
  const their = far.attached.expected.find((one) => one.family === family)?.address;
  const mac = far.attached.link?.mac;
  if (family === 6 || own === undefined || their === undefined || mac === undefined) return [];
  return [{
    topic: "neighbour",
    text: `finds its neighbour ${theirs.name} at ${their}`,
    family,
    journey: between(ends, far),
    protocol: "icmp",
    destination: their,
    port: 0,
    far: { scene: theirs, attached: far.attached },
    neighbours: [their],
    async ask() {
      if (!ends.eth.link.flags.includes("UP")) return unasked(`${ends.eth.point.name} is down`);
      const answers = await answersFor(scene.inside.netns, ends.eth.link, their, own);
      if (answers.length === 0) return failed({ kind: "nobody_has", address: their });
      return answers.includes(mac)
        ? answered(`${mac} answers`)
        : failed({ kind: "others_have", address: their, macs: answers, wanted: mac });
    },
  }];
}

/** Whether the neighbour finds the container, by ARP. */
function foundBy(ends: Ends, theirs: Scene, far: Ends, family: 4 | 6): Question[] {
  const own = ends.attached.expected.find((one) => one.family === family)?.address;
  const their = far.attached.expected.find((one) => one.family === family)?.address;
  const { link } = ends.attached;
  if (family === 6 || own === undefined || their === undefined || !link) return [];
  const path = between(far, ends);
  return [{
    topic: "neighbour",
    text: `is found by its neighbour ${theirs.name} at ${own}`,
    family,
    journey: { ...path, from: "neighbour", to: "container" },
    protocol: "icmp",
    destination: own,
    port: 0,
    neighbours: [own],
    async ask() {
      if (!far.eth.link.flags.includes("UP")) return unasked(`${far.eth.point.name} is down`);
      const answers = await answersFor(theirs.inside.netns, far.eth.link, own, their);
      if (answers.length === 0) return failed({ kind: "nobody_has", address: own });
      return answers.includes(link.mac!)
        ? answered(`${link.mac} answers`)
        : failed({ kind: "others_have", address: own, macs: answers, wanted: link.mac });
    },
  }];
}

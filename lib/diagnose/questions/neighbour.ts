/** Can it reach its neighbours on the network, by TCP? */
import { between, type Ends, endsOf } from "../journey.ts";
import { tryConnect } from "../packets/tcp.ts";
import type { Agent } from "../../facts/agent.ts";
import { pluginOf, Scene } from "../../facts/scene.ts";
import { sockets } from "../../netlink/sockets.ts";
import { NamespaceView } from "../../netlink/view.ts";
import { networkAddresses } from "../../containers/network_address.ts";
import { answered, failedBy, type Question } from "./question.ts";
import { ownerAnswers } from "./owner.ts";

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
      ...family === 4 ? find(scene, ends, theirs, far) : [],
    ];
  });
}

/** Whether each finds the other by ARP: what they know of each other already may be old. */
function find(scene: Scene, ends: Ends, theirs: Scene, far: Ends): Question[] {
  const [own, their] = [ends, far].map(({ attached }) =>
    attached.expected.find(({ family }) => family === 4)?.address
  );
  if (own === undefined || their === undefined) return [];
  const common = { topic: "neighbour", family: 4, protocol: "icmp", port: 0 } as const;
  const path = between(far, ends);
  return [
    {
      ...common,
      text: `finds its neighbour ${theirs.name} at ${their}`,
      journey: between(ends, far),
      destination: their,
      far: { scene: theirs, attached: far.attached },
      neighbours: [their],
      ask: () => ownerAnswers(scene.inside.netns, ends.eth.link, their, own, far.attached.link),
    },
    {
      ...common,
      text: `is found by its neighbour ${theirs.name} at ${own}`,
      journey: { ...path, from: "neighbour", to: "container" },
      destination: own,
      neighbours: [own],
      ask: () => ownerAnswers(theirs.inside.netns, far.eth.link, own, their, ends.attached.link),
    },
  ];
}

/** Can it reach its neighbours on the network, by TCP? */
import { between, type Ends, endsOf } from "../journey.ts";
import type { Agent } from "../../facts/agent.ts";
import { givenTo, pluginOf, Scene } from "../../facts/scene.ts";
import { accepts } from "../../netlink/sock_diag.ts";
import { sockets } from "../../netlink/sockets.ts";
import { NamespaceView } from "../../netlink/view.ts";
import { networkAddresses } from "../../containers/network_address.ts";
import { targetOf } from "../../containers/target.ts";
import { askListener, type MayTalkTo } from "./listener.ts";
import { answered, findingOf, type Question, unasked } from "./question.ts";

/** One is enough to tell; a second tells whether it is the neighbour's own. */
const MOST = 2;
/** Discard (RFC 863): usually nobody listens there, and the kernel says so. */
const CLOSED_PORT = 9;

/** @param opened keeps the scenes of the neighbours until the diagnosis is over */
export function neighbourQuestions(
  agent: Agent,
  scene: Scene,
  opened: DisposableStack,
  mayTalkTo: MayTalkTo,
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
      const theirs = opened.use(Scene.of(agent, targetOf(other)));
      const their = theirs.interfaces.find(({ bridge: one, checkpoint }) =>
        one?.name === bridge && checkpoint?.network === attached.checkpoint?.network
      );
      const far = their && endsOf(theirs, their, "neighbour");
      return far ? ask(scene, ends, theirs, far, mayTalkTo) : [];
    });
  });
}

function ask(
  scene: Scene,
  ends: Ends,
  theirs: Scene,
  far: Ends,
  mayTalkTo: MayTalkTo,
): Question[] {
  const families = ([4, 6] as const).filter((family) => givenTo(ends.attached, family));
  return families.flatMap((family): Question[] => {
    const address = networkAddresses(far.attached.checkpoint!).find((one) => one.family === family)
      ?.address;
    if (address === undefined) return [];
    const port = sockets(theirs.inside as NamespaceView).find((one) =>
      one.protocol === "tcp" && one.state === "LISTEN" &&
      accepts({ address: one.localAddress, only6: false }, { address, family })
    )?.localPort ?? CLOSED_PORT;
    const path = between(ends, far);
    return [
      {
        topic: "neighbour",
        text: `reaches its neighbour ${theirs.name} at ${address}`,
        family,
        journey: path,
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
        async ask(token, session, nth) {
          const at = { space: theirs.inside, port };
          const probe = { ...scene.task, address, port, token };
          const listening = { at, journey: path, payload: mayTalkTo(port) };
          const answer = await askListener(probe, listening, session, nth);
          const outcome = answer.failure?.kind === "errno" ? answer.failure.errno : undefined;
          if (answer.outcome === "answered") {
            return answered(`port ${port}: ${answer.detail}`);
          }
          const refusedThere = session.of(token).some(({ at, direction, packet }) =>
            at === far.eth.name && direction === "out" && packet.destinationPort === token
          );
          if (outcome === "ECONNREFUSED" && refusedThere) {
            return answered(`it answers that nobody listens on ${port}`);
          }
          return answer;
        },
      },
      ...family === 4 ? found(scene, ends, theirs, far) : [],
    ];
  });
}

/** Whether the two find each other, by ARP. */
function found(scene: Scene, ends: Ends, theirs: Scene, far: Ends): Question[] {
  const [own, their] = [ends, far].map(({ attached }) => givenTo(attached, 4)?.address);
  const [mac, farMac] = [ends.eth.link.mac, far.eth.link.mac];
  if (own === undefined || their === undefined || mac === undefined || farMac === undefined) {
    return [];
  }
  const down = ({ eth }: Ends) => unasked(`${eth.name} is down`);
  return [
    findingOf({
      topic: "neighbour",
      text: `finds its neighbour ${theirs.name} at ${their}`,
      journey: between(ends, far),
      far: { scene: theirs, attached: far.attached },
      view: scene.inside,
      ...{ link: ends.eth.link, own, address: their, mac: farMac, down: down(ends) },
    }),
    findingOf({
      topic: "neighbour",
      text: `is found by its neighbour ${theirs.name} at ${own}`,
      journey: { ...between(far, ends), from: "neighbour", to: "container" },
      view: theirs.inside,
      ...{ link: far.eth.link, own: their, address: own, mac, down: down(far) },
    }),
  ];
}

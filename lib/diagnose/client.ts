/** A packet that comes from outside, of a client's or from another agent: how far it gets into a container. */
import { familyOfKnown, isAddress } from "../base/ip.ts";
import { OperatorError } from "../base/error.ts";
import type { Agent } from "../facts/agent.ts";
import { cause } from "../facts/cause.ts";
import { leadsOut, Scene, type Uplink } from "../facts/scene.ts";
import { absentAddress, endpoint, type Own, resolveOwn } from "./destination.ts";
import { type FollowedPacket, watch } from "./follow.ts";
import { resolverOf } from "../facts/readers/resolver.ts";
import { endsOf, fromOutside } from "./journey.ts";
import { askKernel } from "./observe/kernel.ts";
import { boundTo, gatewayBy } from "./paths.ts";
import { wayOf } from "./questions/clients.ts";
import { common, mappedPorts } from "./questions/ports.ts";
import { answered, failed, unasked } from "./questions/question.ts";
import { askedBy, type Coming, failureOf } from "./questions/stranger.ts";
import { partialRules } from "./readers/partial.ts";
import { tokenOf } from "./tokens.ts";

/**
 * Follows a packet of a client's to a container, or to a port of the agent that leads to one. It enters
 * by the link that its last connection came by, or on which the agent's route to it lies.
 *
 * @throws {OperatorError} `bad_source`, `bad_destination`
 */
export async function followClient(
  agent: Agent,
  client: string,
  to: string,
): Promise<FollowedPacket> {
  const absent = await absentAddress(agent, to);
  if (absent) {
    const { address } = absent;
    const seen =
      "ip address: it is on no link of this agent, no rule leads it on, and no container on record was given it";
    const found = cause("address_absent", ["address", "agent"], { address }, [seen]);
    return { from: client, to: endpoint(absent), arrived: false, hops: [], causes: [found] };
  }
  const own = await resolveOwn(agent, to, familyOfKnown(client));
  using scene = Scene.of(agent, own.target);
  const uplink = wayIn(scene, client, own.at.address);
  const coming = leadingTo(scene, own, uplink);
  const { destination: address, port, protocol } = coming;
  const at = endpoint({ address, port, protocol });
  const text = `${coming.text} from ${client} by ${uplink.link.name}`;
  // Who is named may be somebody, and ends what he has not begun.
  const far = [client, ...resolverOf(scene).servers.filter(isAddress)];
  const returns = await boundTo(scene.host, askKernel(), uplink, far);
  const question = askedBy(client, scene, { ...coming, text, payload: false, returns });
  const watched = await watch(scene, question, tokenOf(`${client} ${at}`));
  const causes = watched.arrived ? await partialRules(scene) : watched.causes;
  return { from: client, to: at, ...watched, causes };
}

/** From its first sighting to what becomes of it. */
const ANSWER_MS = 1500;

/**
 * Waits for the packet of a `diagnose --from --to` of another agent, and sees at which hop of this one it comes.
 *
 * @param to as that one said it @param token the port, or the echo's identifier, that it comes from
 * @throws {OperatorError} `bad_destination`
 */
export async function expect(
  agent: Agent,
  to: string,
  token: number,
  waitMs: number,
): Promise<FollowedPacket> {
  const own = await resolveOwn(agent, to);
  using scene = Scene.of(agent, own.target);
  const family = familyOfKnown(own.address);
  const uplink = scene.uplink(family);
  if (!uplink) {
    const why = `this agent has no way for IPv${family} by which it could come`;
    throw new OperatorError("bad_destination", why);
  }
  const { ends, uplink: _, ...asked } = leadingTo(scene, own, uplink);
  const journey = fromOutside(ends, uplink.link);
  const watched = await watch(scene, {
    ...asked,
    text: `${asked.text} from another agent`,
    journey,
    neighbours: [asked.realDestination, uplink.somewhere],
    isAskedOnce: true,
    async ask(_, session) {
      if (!await session.until(() => session.of(token).length > 0, waitMs)) {
        return unasked(
          `no packet came from port ${token} in ${Math.round(waitMs / 1000)} s: ` +
            "it is lost before this agent, or was not sent meanwhile",
        );
      }
      await session.until(() => !failureOf(session, journey, token), ANSWER_MS);
      const failure = failureOf(session, journey, token);
      return failure ? failed(failure) : answered("it came, and its answer left this agent");
    },
  }, token);
  return { from: `port ${token} of another agent`, to: endpoint(own.at), ...watched };
}

/** The link by which packets of a client come. @param to the address that he asks for */
function wayIn(scene: Scene, client: string, to: string): Uplink {
  const { host, agent } = scene;
  const wrong = (why: string) => new OperatorError("bad_source", `--from=${client} ${why}`);
  if (host.ownerOf(client)) throw wrong("is the agent itself, which is no client from outside");
  const family = familyOfKnown(client);
  const { link, route } = host.wayTo(client);
  const known = wayOf(scene, client);
  const agentAddress = link && host.globalsOf(link, family)[0]?.address;
  if (link && !leadsOut(host, agent.containers, link)) {
    throw wrong(`is behind ${link.name}, where containers are, and is none of them`);
  }
  if (known) return known;
  const asked = scene.waysIn(family).find(({ link }) => link === host.ownerOf(to));
  const gateway = asked && gatewayBy(host, asked.link, family)?.gateway;
  if (gateway && route?.gateway) return { ...asked, agentAddress: to, somewhere: gateway };
  if (link && agentAddress !== undefined) {
    return { link, agentAddress, somewhere: route?.gateway ?? client };
  }
  // Where no route leads back to it, it may come all the same.
  const uplink = scene.uplink(family);
  if (!uplink) throw wrong(`can't come: this agent has no way in for IPv${family}`);
  return uplink;
}

/**
 * What comes for a container as a question: for a port that is mapped by the agent's, if the container was
 * named.
 *
 * @throws {OperatorError} `bad_destination`
 */
export function leadingTo(
  scene: Scene,
  { at, address, port }: Own,
  uplink: Uplink,
): Omit<Coming, "payload"> {
  const family = familyOfKnown(address);
  const attached = scene.interfaces.find(({ expected }) =>
    expected.some((one) => one.address === address)
  );
  const isNamed = at.container !== undefined;
  const leading = mappedPorts(scene, () => uplink).filter((one) =>
    one.address.family === family && one.mapping.protocol === at.protocol &&
    (isNamed ? one.mapping.containerPort : one.mapping.hostPort) === at.port &&
    (isNamed || at.address !== address)
  );
  // Of several networks another than the first may map it, and then the packet comes there.
  const mapped = leading.find((one) => one.address.address === address) ?? leading[0];
  const ends = mapped?.ends ?? (attached && endsOf(scene, attached));
  if (!ends?.attached.hostEnd) {
    throw new OperatorError(
      "bad_destination",
      ends
        ? `${scene.name} is on a wire of its own: what comes for it does not pass the agent`
        : `the interface of ${scene.name} that had ${address} is gone`,
    );
  }
  return {
    ...mapped ? common(mapped) : {
      topic: "followed",
      text: `is reached at ${endpoint(at)}`,
      family,
      protocol: at.protocol,
      port: at.port,
      realDestination: address,
      realPort: port,
      far: { scene, attached: ends.attached },
    },
    destination: isNamed && mapped ? mapped.at : at.address,
    ends,
    uplink,
  };
}

/** The source that a container's packets leave the agent with. */
import { type Finding, problem, shellText } from "../finding.ts";
import { type Verdict, within } from "../../packetpath/walk.ts";
import type { Question } from "../questions/question.ts";
import { pluginOf, type Scene } from "../scene.ts";
import type { Case } from "../case.ts";
import { alteringFinding, alteringRule } from "./altered.ts";
import { UNTRACKING } from "./conntrack.ts";

/** A packet that leaves with the container's own address gets no answer where nobody knows it. */
export async function masqueradeReasons(
  scene: Scene,
  { family }: Question,
  source: string,
  one: Case,
): Promise<Finding[]> {
  const { met, texts, trail } = one;
  const attached = scene.interfaces.find(({ expected }) =>
    expected.some(({ address }) => address === source)
  );
  const uplink = trail.before!.stop.link.name;
  const plugin = pluginOf(attached?.checkpoint, "bridge", "ptp");
  const own = scene.host.addresses.some(({ address }) => address === source);
  if (own) return [];
  if (!attached) {
    // Translated, but to an address that is not the agent's.
    if (scene.inside.ownerOf(source)) return [];
    const rules = await Promise.all(
      met.filter(({ kind, chain }) => kind === "rule" && /post/i.test(chain)).map((one) =>
        texts.of(one)
      ),
    );
    const rule = rules.find(({ text }) => /SNAT|snat|MASQ|masq|NETMAP/.test(text));
    return [problem(
      "wrong_snat",
      ["masquerade", "agent"],
      `what ${scene.name} sends leaves by ${uplink} from ${source}, which is no address of the agent${
        rule ? `: ${rule.text}` : ""
      }`,
      [`seen leaving by ${uplink} from ${source}`],
      rule?.remove ? shellText(rule.remove) : "correct the rule that translates it",
      rule?.remove && { what: "delete that rule", commands: [rule.remove] },
    )];
  }
  if (plugin?.ipMasq !== true) return [];
  // What came before the container's own rule, and took the packet.
  const called = new Set(met.flatMap(({ jump }) => jump ?? []));
  const passed = met.filter(({ kind, verdict, chain, table, netns }) =>
    netns === undefined && kind === "rule" && /post/i.test(chain) && table !== "mangle" &&
    // To return from a chain that no other has called is to go by its policy.
    (verdict === "accept" || (verdict === "return" && !called.has(chain)))
  );
  const taken = passed[0] && await texts.of(passed[0]);
  if (taken?.remove) {
    return [problem(
      "masquerade_shadowed",
      ["masquerade", "agent"],
      `a rule takes what ${scene.name} sends before it is masqueraded: ${taken.text}`,
      [
        `seen leaving by ${uplink} from ${source}, its own address`,
        `the kernel's trace: ${passed[0]!.table} ${passed[0]!.chain} (verdict ${
          passed[0]!.verdict
        })`,
      ],
      `if it is not meant so, delete it: ${shellText(taken.remove)}`,
      { what: "delete that rule", commands: [taken.remove] },
    )];
  }
  const untracking = await alteringRule(one, UNTRACKING);
  if (untracking) {
    return [alteringFinding(
      "notrack",
      untracking,
      `keeps what ${scene.name} sends out of connection tracking, and so out of NAT`,
      [`seen leaving by ${uplink} from ${source}, its own address`],
    )];
  }
  const subnet = attached.expected.find(({ address }) => address === source)!;
  const network = `${source}/${subnet.prefixLength}`;
  const command = [
    family === 6 ? "ip6tables" : "iptables",
    "-w",
    "-t",
    "nat",
    "-I",
    "POSTROUTING",
    "-s",
    source,
    "!",
    "-d",
    network,
    "-o",
    uplink,
    "-j",
    "MASQUERADE",
  ];
  return [problem(
    "masquerade_gone",
    ["masquerade", "agent"],
    `nothing masquerades what ${scene.name} sends out`,
    [
      `${
        attached.checkpoint!.network
      } has "ipMasq", and its packet was seen leaving by ${uplink} from ${source}`,
      "no rule of postrouting translated it",
      ...await nearly(scene, source, family),
    ],
    `somebody flushed the nat table: restart the container, or: ${shellText(command)}`,
    { what: `masquerade what ${source} sends out by ${uplink}`, commands: [command] },
  )];
}

/** Rules that masquerade the container elsewhere, or others. */
async function nearly(scene: Scene, source: string, family: 4 | 6): Promise<string[]> {
  const nat = await scene.rules("nat", family);
  return [...nat?.chains.values() ?? []].flat().filter(({ text }) =>
    /-j (MASQUERADE|SNAT)/.test(text)
  ).filter(({ source: from }) => from === undefined || within(source, from.value)).slice(0, 2).map((
    { text },
  ) => `one that did not fit: ${text}`);
}

/** Rules that might have decided before, by a match that was not followed. */
export function doubt({ unsure }: Verdict): string[] {
  return unsure.slice(0, 3).map(({ text }) => `not followed: ${text}`);
}

/** The source that a container's packets leave the agent with. */
import { type Finding, problem, shellText } from "../finding.ts";
import type { Verdict } from "../../packetpath/walk.ts";
import type { Question } from "../questions/question.ts";
import { pluginOf, type Scene } from "../scene.ts";
import type { Case } from "../case.ts";

/** A packet that leaves with the container's own address gets no answer where nobody knows it. */
export async function masqueradeReasons(
  scene: Scene,
  { family }: Question,
  source: string,
  { met, texts, trail }: Case,
): Promise<Finding[]> {
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
  const passed = met.filter(({ kind, verdict, chain, netns }) =>
    netns === undefined && kind === "rule" && verdict === "accept" && /post/i.test(chain)
  );
  const taken = passed[0] && await texts.of(passed[0]);
  if (taken?.remove) {
    return [problem(
      "masquerade_shadowed",
      ["masquerade", "agent"],
      `a rule takes what ${scene.name} sends before it is masqueraded: ${taken.text}`,
      [
        `seen leaving by ${uplink} from ${source}, its own address`,
        `the kernel's trace: ${passed[0]!.table} ${passed[0]!.chain} (verdict accept)`,
      ],
      `if it is not meant so, delete it: ${shellText(taken.remove)}`,
      { what: "delete that rule", commands: [taken.remove] },
    )];
  }
  const raw = await Promise.all(
    met.filter(({ kind, chain, netns }) =>
      netns === undefined && kind === "rule" && /pre/i.test(chain)
    ).map((one) => texts.of(one)),
  );
  const untracked = raw.find(({ text }) => /notrack|-j CT --notrack|NOTRACK/.test(text));
  if (untracked?.remove) {
    return [problem(
      "notrack",
      ["conntrack", "agent"],
      `a rule keeps what ${scene.name} sends out of connection tracking, and so out of NAT: ${untracked.text}`,
      [`seen leaving by ${uplink} from ${source}, its own address`],
      `if it is not meant so, delete it: ${shellText(untracked.remove)}`,
      { what: "delete that rule", commands: [untracked.remove] },
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
    ],
    `somebody flushed the nat table: start the container anew, or: ${shellText(command)}`,
    { what: `masquerade what ${source} sends out by ${uplink}`, commands: [command] },
  )];
}

/** Rules that might have decided before, by a match that was not followed. */
export function doubt({ unsure }: Verdict): string[] {
  return unsure.slice(0, 3).map(({ text }) => `not followed: ${text}`);
}

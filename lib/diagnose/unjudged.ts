/** What may take packets on the way and is not judged: named where it is there, and only then. */
import type { Fact } from "../facts/facts.ts";
import { blind } from "../facts/look.ts";
import type { Scene } from "../facts/scene.ts";
import { unlessRefused } from "../base/unless.ts";
import { cgroupPrograms } from "../kernel/bpf.ts";
import { cgroupsOf } from "../kernel/cgroups.ts";
import { findInode } from "../kernel/proc.ts";

/** Links that lead by another network, of which the agent sees no more than that they are there. */
const TUNNELS = [
  ...["vxlan", "geneve", "gre", "gretap", "ip6gre", "ip6gretap", "ipip", "sit", "ip6tnl", "vti"],
  ...["vti6", "xfrm", "wireguard", "tun"],
];

/** As answers that could not be had. */
export function unjudged(scene: Scene): Fact[] {
  const ways = new Map(
    ([4, 6] as const).flatMap((family) => {
      const link = scene.uplink(family)?.link;
      return link && TUNNELS.includes(link.kind ?? "") ? [[link.name, link.kind]] : [];
    }),
  );
  const found: [name: string, what: string[]][] = [
    ["the other end of the tunnel that is the way out", [...ways].map((one) => one.join(": "))],
    ["programs of bpf at the cgroup of its task", ofCgroup(scene)],
  ];
  return found.flatMap(([name, what]) =>
    what.length === 0 ? [] : [{ name, ...blind(`not judged: ${what.join(", ")}`) }]
  );
}

function ofCgroup({ inside, agent }: Scene): string[] {
  const inode = findInode(inside.netns);
  const [pid] = inode === undefined ? [] : agent.sight.processes.inNamespace(inode);
  if (pid === undefined) return [];
  return unlessRefused(() => {
    const { directory } = cgroupsOf(`/proc/${pid}`).find(({ controllers }) => controllers === "") ??
      {};
    return directory && cgroupPrograms(directory);
  }) || [];
}

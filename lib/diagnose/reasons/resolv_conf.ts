/** The container's resolv.conf: whether it is the one that was made for it. */
import { readCheckpoint } from "../../kernel/atomic_file.ts";
import { type Finding, hint, problem } from "../finding.ts";
import type { Scene } from "../scene.ts";
import { nameservers } from "../resolver.ts";

/** glibc takes no more than so many (MAXNS). */
const MOST_SERVERS = 3;

export function probeResolvConf(scene: Scene): Finding[] {
  const file = fileOf(scene);
  const text = file && readCheckpoint(file);
  return text === undefined ? [] : differences(scene, file!, nameservers(text));
}

/** Whether the container was made without a server, as its networks and the agent have none. */
export function isWithoutServer(scene: Scene): boolean {
  const file = fileOf(scene);
  const text = file && readCheckpoint(file);
  return text !== undefined && nameservers(text).length === 0;
}

/** The resolv.conf that the isolator made for the container. */
function fileOf({ container }: Scene): string | undefined {
  return container && `${container.netns.slice(0, container.netns.lastIndexOf("/"))}/resolv.conf`;
}

function differences(scene: Scene, file: string, servers: string[]): Finding[] {
  const { pid, processAlive, attachments } = scene.container!;
  const wanted = attachments.flatMap(({ result }) => result?.dns.nameservers ?? [])
    .slice(0, MOST_SERVERS);
  if (wanted.length > 0 && wanted.join() !== servers.join()) {
    return [problem(
      "resolv_conf_differs",
      ["dns", "container"],
      `the resolv.conf of ${scene.name} is not what its networks say`,
      [`the networks name ${wanted.join(", ")}; ${file} has ${servers.join(", ") || "no server"}`],
      "somebody changed it, from inside the container or on the agent: write it again, or restart " +
        "the container",
    )];
  }
  if (!processAlive || pid === undefined) return [];
  // Bound over the container's own, it is the same file and not only the same text.
  const [ours, seen] = [file, `/proc/${pid}/root/etc/resolv.conf`].map(identity);
  if (ours === undefined || ours === seen) return [];
  // Images and tasks may bring their own: the questions go by what is seen.
  return [hint(
    "resolv_conf_differs",
    ["dns", "container"],
    `${scene.name} sees another resolv.conf than the isolator made for it`,
    [
      `${file} is file ${ours}, and /etc/resolv.conf of process ${pid} ${
        seen === undefined ? "can't be read" : `is file ${seen}`
      }`,
    ],
    "it was replaced or unmounted inside the container; if that is not meant so, restart the container",
  )];
}

function identity(path: string): string | undefined {
  try {
    const { dev, ino } = Deno.lstatSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

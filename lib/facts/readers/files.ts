/** Files that belong to a container: its resolv.conf, and its leases in host-local's store. */
import { readCheckpoint } from "../../kernel/atomic_file.ts";
import { leaseFile, leaseHolder } from "../../containers/lease.ts";
import { asUser } from "../../kernel/privileges.ts";
import { type Cause, cause, hint } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import { type Scene, seenBy } from "../scene.ts";

/** glibc takes no more than so many (MAXNS). */
export const MOST_SERVERS = 3;

export function readResolvConf(scene: Scene): Look {
  const file = madeFor(scene);
  const made = file === undefined ? undefined : readCheckpoint(file);
  if (file === undefined || made === undefined) return nothing("the isolator made none");
  const servers = nameservers(made);
  const { pid, processAlive, attachments } = scene.container!;
  const wanted = attachments.flatMap(({ result }) => result?.dns.nameservers ?? [])
    .slice(0, MOST_SERVERS);
  const about = { container: scene.name, file };
  const list = (all: readonly string[]) => all.join(", ") || "no server";
  if (wanted.length > 0 && wanted.join() !== servers.join()) {
    return saw(file, [cause("resolv_conf_differs", ["dns", "container"], about, [
      `the networks name ${list(wanted)}; ${file} has ${list(servers)}`,
    ])]);
  }
  if (!processAlive || pid === undefined) return saw(`${file}: ${list(servers)}`, []);
  const seen = scene.etc("resolv.conf");
  if (seen === undefined) return saw(`${file}: ${list(servers)}; the task has none`, []);
  if (seen === made) return saw(`${list(servers)}, as process ${pid} sees it`, []);
  // Images and tasks may bring their own: the questions go by what is seen.
  return saw(`as process ${pid} sees it: ${list(nameservers(seen))}`, [
    hint("resolv_conf_differs", ["dns", "container"], { ...about, why: "seen" }, [
      `${file} names ${list(servers)}, and /etc/resolv.conf of process ${pid} ${
        list(nameservers(seen))
      }`,
    ]),
  ]);
}

/** What programs resolve names by. */
const OF_NAMES = ["resolv.conf", "hosts", "nsswitch.conf"];

/** Of a container whose processes are some user's: what root can read there proves nothing for them. */
export function readReadable(scene: Scene): Look {
  const { pid, processAlive } = scene.container!;
  const { user } = scene.task;
  if (!processAlive || pid === undefined) return nothing("no process is left");
  if (!user) return nothing("its processes are root's");
  const present = OF_NAMES.filter((name) => scene.etc(name) !== undefined);
  // By any of its groups.
  const may = (name: string) =>
    [user.gid, ...user.groups].some((gid) =>
      asUser({ uid: user.uid, gid }, () => seenBy(pid, name)) !== undefined
    );
  return saw(
    `as user ${user.uid}: ${present.join(", ")}`,
    present.filter((name) => !may(name)).map((name) =>
      cause(
        "file_unreadable",
        ["dns", "container"],
        { container: scene.name, file: `/etc/${name}`, value: String(user.uid) },
        [`/proc/${pid}/root/etc/${name} can't be opened as user ${user.uid}`],
      )
    ),
  );
}

/** Whether the container was made without a server, as its networks and the agent have none. */
export function isWithoutServer(scene: Scene): boolean {
  const file = madeFor(scene);
  if (file === undefined) return false;
  // Where no network names a server, the container is given the agent's own file.
  const text = readCheckpoint(file) ?? readCheckpoint("/etc/resolv.conf");
  return text !== undefined && nameservers(text).length === 0;
}

/** The file of /etc that the isolator made for the container. */
export function madeFor({ container, agent }: Scene, name = "resolv.conf"): string | undefined {
  return container && `${agent.sources.layout.container(container.id)}/${name}`;
}

/** The servers of a resolv.conf that are used, in their order. */
export function nameservers(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [keyword, server] = line.trim().split(/\s+/);
    return keyword === "nameserver" && server !== undefined ? [server] : [];
  }).slice(0, MOST_SERVERS);
}

/** host-local's store of addresses, against the checkpoint. */
export function readLeases(scene: Scene): Look {
  const files = scene.interfaces.flatMap(({ checkpoint, expected }) =>
    expected.flatMap(({ address }) => {
      const file = checkpoint && leaseFile(checkpoint, address);
      return file === undefined ? [] : [{ file, address }];
    })
  );
  if (files.length === 0) return nothing("no address of it is host-local's");
  return saw(
    files.map(({ file }) => file).join(", "),
    files.flatMap(({ file, address }) => leaseCauses(scene, file, address)),
  );
}

function leaseCauses(scene: Scene, file: string, address: string): Cause[] {
  const { id } = scene.container!;
  const holder = leaseHolder(file)?.containerId;
  if (holder === id) return [];
  const about = { container: id, address, file };
  if (holder === undefined) {
    return [cause("ipam_lost", ["state", "agent"], about, [
      `there is no ${file}, and the checkpoint has the address`,
    ])];
  }
  return [cause("ipam_conflict", ["state", "agent"], about, [
    `${file} names ${JSON.stringify(holder.slice(0, 80))}`,
  ])];
}

/** /proc as the kernel writes it of processes that choose their names, and anything else in its place. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { canonicalAddress } from "../../lib/base/ip.ts";
import { mounts } from "../../lib/kernel/mount.ts";
import { parseIdentity } from "../../lib/kernel/privileges.ts";
import { parseStat } from "../../lib/kernel/process_identity.ts";
import {
  flagsOfCommandLine,
  flagsOfEnvironment,
  parseUserIds,
} from "../../lib/mesos/running_agent.ts";
import { parseSockets } from "../../lib/netlink/sockets.ts";
import { addressBytes } from "../../lib/base/ip.ts";
import { anyText, damaged, forAll } from "../harness/generated.ts";

const number = fc.nat();
/** TASK_COMM_LEN, and what a program may call itself. */
const comm = fc.oneof(
  fc.constantFrom(") Z 1 1", "a) S 2", "((", " ", ")\n("),
  anyText(15),
);
const stat = fc.tuple(comm, fc.constantFrom(..."RSDZX"), number, number).map((
  [comm, state, parent, start],
) => ({
  state,
  parent,
  start,
  text: `7 (${comm}) ${state} ${parent} ${"1 ".repeat(17)}${start} 1 2 3\n`,
}));

Deno.test("a process is read as it is, whatever its program calls itself", () => {
  forAll(stat, ({ text, state, parent, start }) => {
    assertEquals(parseStat(text), { state, parent, startTime: start });
  });
  forAll(damaged(stat.map(({ text }) => text), [")", "("]), (text) => void parseStat(text));
});

/** As the kernel escapes paths (seq_path). */
const escaped = (path: string) =>
  path.replaceAll(
    /[ \t\n\\]/g,
    (one) => `\\${one.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
const directory = fc.array(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 }),
  { maxLength: 4 },
).map((parts) => `/${parts.join("/")}`);
const mount = fc.record({
  mountPoint: directory,
  root: fc.oneof(directory, number.map((inode) => `net:[${inode}]`)),
  shared: fc.option(number.map(String), { nil: undefined }),
  type: fc.constantFrom("nsfs", "tmpfs", "fuse.-"),
  device: fc.constantFrom("0:4", "98:0"),
  options: fc.constantFrom(["rw"], ["rw", "cpu", "cpuacct"], ["rw", "name=systemd"])
    .map((options): string[] => [...options]),
}, { noNullPrototype: true });
/** Of which nobody asks here. */
const tags = fc.subarray([" master:2", " unbindable"]);
const line = fc.tuple(mount, tags).map(([one, others]) => {
  const tags = [...one.shared === undefined ? [] : [` shared:${one.shared}`], ...others];
  return {
    one,
    text: `36 35 ${one.device} ${escaped(one.root)} ${escaped(one.mountPoint)} rw${
      tags.join("")
    } - ${one.type} /dev ${one.options.join(",")}\n`,
  };
});
const lines = fc.array(line, { maxLength: 4 });

Deno.test("mounts are read as they are, whatever their paths are called", () => {
  forAll(lines, (lines) => {
    assertEquals(mounts(lines.map(({ text }) => text).join("")), lines.map(({ one }) => one));
  });
  const text = lines.map((lines) => lines.map(({ text }) => text).join(""));
  forAll(damaged(text, [" - ", "\\040", "\\999"]), (text) => {
    for (const { mountPoint, root, type } of mounts(text)) {
      assert([mountPoint, root, type].every((one) => typeof one === "string"));
    }
  });
  assertEquals(mounts(""), []);
});

const status = fc.tuple(comm, fc.bigInt(0n, (1n << 41n) - 1n), fc.boolean(), number).map((
  [comm, bounding, flag, uid],
) => ({
  bounding,
  flag,
  uid,
  // The kernel escapes line breaks and backslashes of the name.
  text: `Name:\t${
    escaped(comm)
  }\nUid:\t${uid}\t${uid}\t0\t0\nGid:\t7\t8\t9\t9\nGroups:\t4 5 \nCapPrm:\t${
    bounding.toString(16).padStart(16, "0")
  }\nCapBnd:\t${bounding.toString(16)}\nNoNewPrivs:\t${+flag}\nSeccomp:\t${flag ? 2 : 0}\n`,
}));

Deno.test("what a process may do is read as it is, and as nothing where it is not told", () => {
  forAll(status, ({ text, bounding, flag, uid }) => {
    const { uids, groups, ...others } = parseIdentity(text);
    assertEquals([uids, groups], [[uid, uid, 0], [4, 5]]);
    assertEquals(others, {
      gids: [7, 8, 9],
      bounding,
      permitted: bounding,
      inheritable: 0n,
      ambient: 0n,
      noNewPrivileges: flag,
      isFiltered: flag,
    });
    assertEquals(parseUserIds(text), [`${uid}`, `${uid}`, "0", "0"]);
  });
  forAll(damaged(status.map(({ text }) => text), ["Uid:", "CapBnd:"]), (text) => {
    parseIdentity(text);
    assert(parseUserIds(text).length > 0);
  });
});

const flag = fc.string({ unit: fc.constantFrom(..."abyz_"), minLength: 1, maxLength: 12 })
  .filter((name) => !name.startsWith("no_"));
const text = anyText(12).map((text) => text.replaceAll("\0", ""));

Deno.test("an agent's flags are read as it was given them", () => {
  forAll(fc.tuple(flag, text), ([name, value]) => {
    const line = `mesos-agent\0--${name}=${value}\0--no-${name}\0`.split("\0");
    assertEquals([...flagsOfCommandLine(line)], [[name, value], [name, "false"]]);
    const environment = `X=1\0MESOS_${name.toUpperCase()}=${value}\0`.split("\0");
    assertEquals([...flagsOfEnvironment(environment)], [[name, value]]);
  });
  forAll(damaged(fc.constant("a\0--b=c\0MESOS_D=e\0"), ["--", "--no-", "MESOS_", "="]), (text) => {
    for (const read of [flagsOfCommandLine, flagsOfEnvironment]) {
      assert([...read(text.split("\0"))].length <= text.split("\0").length);
    }
  });
});

/** As the kernel writes an address: words of 32 bits in the machine's order. */
function hex(address: string): string {
  const bytes = addressBytes(address);
  return Array.from(
    { length: bytes.length / 4 },
    (_, word) =>
      [...bytes.subarray(word * 4, word * 4 + 4)].reverse()
        .map((byte) => byte.toString(16).padStart(2, "0")).join("").toUpperCase(),
  ).join("");
}
const port = fc.nat(0xffff);
const ends = fc.oneof(fc.tuple(fc.ipV4(), fc.ipV4()), fc.tuple(fc.ipV6(), fc.ipV6()));
const socket = fc.tuple(ends, port, port, number).map(([[local, remote], from, to, inode]) => {
  const end = (address: string, port: number) =>
    `${hex(address)}:${port.toString(16).padStart(4, "0").toUpperCase()}`;
  return {
    wanted: [canonicalAddress(local), from, canonicalAddress(remote), to, inode],
    text: `   0: ${end(local, from)} ${
      end(remote, to)
    } 0A 00000000:00000000 00:0 0 0 0 ${inode} 1\n`,
  };
});

Deno.test("sockets are read as the kernel lists them, and no line that is none", () => {
  const table = fc.array(socket, { maxLength: 4 });
  forAll(table, (sockets) => {
    const text = `  sl  local_address\n${sockets.map(({ text }) => text).join("")}`;
    assertEquals(
      parseSockets(text, "tcp").map((one) => [
        one.localAddress,
        one.localPort,
        one.remoteAddress,
        one.remotePort,
        one.inode,
      ]),
      sockets.map(({ wanted }) => wanted),
    );
  });
  const text = table.map((sockets) => `sl\n${sockets.map(({ text }) => text).join("")}`);
  forAll(damaged(text, ["0A", "00000000:0000"]), (text) => {
    for (const { localPort, remotePort } of parseSockets(text, "udp")) {
      assert([localPort, remotePort].every((port) => port >= 0 && port <= 0xffff));
    }
  });
});

import { assertEquals, assertRejects } from "@std/assert";
import { OperatorError } from "../../lib/base/error.ts";
import { leasedAddresses } from "../../lib/containers/lease.ts";
import { beingAdded } from "../../lib/isolator/gc/adding.ts";
import { findAddresses } from "../../lib/isolator/gc/addresses.ts";
import { agentContainers } from "../../lib/mesos/agent_api.ts";
import { uptime } from "../../lib/kernel/process_identity.ts";
import { LONGEST_WORK_MS } from "../../lib/kernel/work_lock.ts";
import { kernelTest } from "../harness/kernel.ts";

const NOTHING_LIVES = {
  addresses: new Set<string>(),
  namespaceIds: new Set<number>(),
  strangers: new Map(),
  incomplete: false,
};
const NOBODY = { alive: new Set<string>(), dead: new Set<string>(), unexplained: false };

kernelTest(
  "gc leaves an address alone that may be of an ADD under way, whatever the clock does",
  async () => {
    const store = await Deno.makeTempDir();
    try {
      const at = { "10.0.0.2": 0, "10.0.0.3": -60, "10.0.0.4": 60, "10.0.0.5": 3600 };
      for (const [name, seconds] of Object.entries(at)) {
        await Deno.writeTextFile(`${store}/${name}`, "dead\r\neth0");
        const time = new Date(Date.now() + seconds * 1000);
        await Deno.utime(`${store}/${name}`, time, time);
      }
      const found = findAddresses(store, leasedAddresses(store), NOTHING_LIVES, NOBODY).map((
        { what },
      ) => what.split(" ")[0]);
      // The clock has been set back since the last one was reserved.
      assertEquals(found, ["10.0.0.5"]);
    } finally {
      await Deno.remove(store, { recursive: true });
    }
  },
);

kernelTest("gc leaves an address alone that went to another container meanwhile", async () => {
  const store = await Deno.makeTempDir();
  try {
    const longAgo = new Date(Date.now() - 3_600_000);
    for (const name of ["10.0.0.2", "10.0.0.3"]) {
      await Deno.writeTextFile(`${store}/${name}`, "dead\r\neth0");
      await Deno.utime(`${store}/${name}`, longAgo, longAgo);
    }
    const [living, holders] = [NOTHING_LIVES, NOBODY];
    // Where something may have the address without showing it, or its holder lives, it stays.
    assertEquals(
      findAddresses(store, leasedAddresses(store), living, { ...holders, unexplained: true }),
      [],
    );
    assertEquals(
      findAddresses(store, leasedAddresses(store), living, {
        ...holders,
        alive: new Set(["dead"]),
      }),
      [],
    );
    const garbage = findAddresses(store, leasedAddresses(store), living, holders);
    assertEquals(garbage.length, 2);

    await Deno.remove(`${store}/10.0.0.2`);
    await Deno.writeTextFile(`${store}/10.0.0.2`, "alive\r\neth0");
    for (const one of garbage) await one.remove();
    const left = [...Deno.readDirSync(store)].map(({ name }) => name).sort();
    assertEquals(left, ["10.0.0.2", "lock"]);
  } finally {
    await Deno.remove(store, { recursive: true });
  }
});

kernelTest("gc counts root's own recent processes as plugins at work, and no others", async () => {
  const words = [
    ["root", "env"],
    ["user", "setpriv", "--reuid=65534", "--clear-groups", "env"],
    ["inside", "unshare", "--pid", "--fork", "--kill-child", "env"],
  ];
  const id = crypto.randomUUID();
  const children = words.map(([name, command, ...args]) =>
    new Deno.Command(command!, {
      args: [
        ...args,
        ...["CNI_COMMAND=ADD", `CNI_CONTAINERID=${id}-${name}`, "sh", "-c", "echo up; exec cat"],
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn()
  );
  try {
    for (const { stdout } of children) {
      const reader = stdout.getReader();
      await reader.read();
      reader.releaseLock();
    }
    const added = async (now?: number) =>
      (await beingAdded(now)).filter((one) => one.startsWith(id));
    assertEquals(await added(), [`${id}-root`]);
    assertEquals(await added(uptime() + LONGEST_WORK_MS + 1_000), []);
  } finally {
    for (const child of children) {
      await child.stdin.close();
      await Promise.all([child.stdout.cancel(), child.status]);
    }
  }
});

kernelTest("an agent that never ends its answer does not hold gc for ever", async () => {
  await new Deno.Command("ip", { args: ["link", "set", "lo", "up"] }).output();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const trickling = (async () => {
    using connection = await listener.accept();
    const text = new TextEncoder().encode(`HTTP/1.0 200 OK\r\n\r\n${" ".repeat(1000)}{}`);
    try {
      for (let i = 0; i < text.length; i++) {
        await connection.write(text.subarray(i, i + 1));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return "all of it was read";
    } catch {
      return "cut off";
    }
  })();
  const url = `http://127.0.0.1:${listener.addr.port}`;
  await assertRejects(() => agentContainers(url, 300), OperatorError, "not whole after 0.3 s");
  assertEquals(await trickling, "cut off");
});

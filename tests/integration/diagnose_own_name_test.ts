/** Whether a container's own name is known to it: by files, without a server of DNS. */
import { assertEquals } from "@std/assert";
import { OWN_NAME } from "../../lib/diagnose/names.ts";
import { readCheckpoint } from "../../lib/kernel/atomic_file.ts";
import { World } from "../harness/world.ts";

// The C library is loaded once, and stays.
readCheckpoint("/no/such/file");

const MADE = "127.0.0.1 localhost\n10.1.0.2 web-1\n";

interface Files {
  /** As the isolator made it. */
  made?: string;
  /** As the container has them; without a file of that name where absent. */
  hosts?: string;
  nsswitch?: string;
}

async function told({ made = MADE, hosts, nsswitch }: Files): Promise<string[]> {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${directory}/hostname`, "web-1\n");
    Deno.writeTextFileSync(`${directory}/hosts`, made);
    const scene = new World().scene();
    Object.assign(scene.agent.sources, { layout: { container: () => directory } });
    const files: Record<string, string | undefined> = {
      "hosts": hosts,
      "nsswitch.conf": nsswitch,
      "resolv.conf": "",
    };
    scene.etc = (name) => files[name];
    const { causes } = await OWN_NAME.read(scene);
    return causes.map(({ code, address }) => `${code} ${address}`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const OTHER = "127.0.0.1 localhost\n";
const ILL = ["hosts_differ 10.1.0.2"];

Deno.test("a name that the isolator wrote into hosts, and that the container's has not, is unknown", async () => {
  assertEquals(await told({ hosts: OTHER }), ILL);
  assertEquals(await told({ hosts: OTHER, nsswitch: "hosts: files [NOTFOUND=return] dns\n" }), ILL);
});

Deno.test("a container whose hosts is the one that was made for it, or has none, is well", async () => {
  assertEquals(await told({ hosts: MADE }), []);
  assertEquals(await told({}), []);
  assertEquals(await told({ hosts: `${OTHER}10.1.0.9 WEB-1.lan Web-1\n` }), []);
});

Deno.test("localhost is unknown where the container's hosts has no line for it", async () => {
  assertEquals(await told({ hosts: "10.1.0.2 web-1\n" }), ["hosts_differ 127.0.0.1"]);
  assertEquals(await told({ hosts: "10.1.0.9 db\n" }), [...ILL, "hosts_differ 127.0.0.1"]);
  assertEquals(await told({ hosts: "::1 localhost\n10.1.0.2 web-1\n" }), []);
});

Deno.test("a container without an address has no line for its name", async () => {
  assertEquals(await told({ made: OTHER, hosts: OTHER }), []);
});

Deno.test("what else programs look names up by may know the name", async () => {
  for (const one of ["myhostname", "resolve", "sss", "ldap", "nis", "mymachines", "winbind"]) {
    assertEquals(await told({ hosts: OTHER, nsswitch: `hosts: files ${one} dns\n` }), []);
  }
});

Deno.test("nothing is judged by a hosts file that was not read to its end", async () => {
  const lines = (count: number) => "192.0.2.1 other\n".repeat(count);
  assertEquals(await told({ hosts: `${OTHER}${lines(198)}` }), ILL);
  assertEquals(await told({ hosts: lines(250) }), []);
  assertEquals(await told({ hosts: `# ${"x".repeat(1 << 16)}`.slice(0, 1 << 16) }), []);
});

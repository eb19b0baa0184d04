/** What a container of `mesos-cni run` finds in /etc, in its environment and in its image. */
import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { dirname } from "@std/path";
import { Agent, bridgeNetwork } from "../harness/agent.ts";

const NETWORK = ["--networks=cni-test"];
const ETC = ["cat", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
const PATH = "--env=PATH=/bin";

/** A root directory with busybox in it, below a directory that a breakout would end up in. */
async function image(agent: Agent): Promise<string> {
  const rootfs = `${agent.sandbox.dir}/image`;
  for (const dir of ["bin", "etc", "proc", "dev", "sys"]) {
    Deno.mkdirSync(`${rootfs}/${dir}`, { recursive: true });
  }
  const libraries = (await agent.sandbox.ok(["ldd", "/usr/bin/busybox"])).match(/\/\S+/g)!;
  for (const library of libraries) {
    Deno.mkdirSync(dirname(rootfs + library), { recursive: true });
    Deno.copyFileSync(library, rootfs + library);
  }
  Deno.copyFileSync("/usr/bin/busybox", `${rootfs}/bin/busybox`);
  for (const name of ["sh", "cat", "ip", "ls", "hostname"]) {
    Deno.symlinkSync("busybox", `${rootfs}/bin/${name}`);
  }
  return rootfs;
}

Deno.test("run: hostname and hosts say the container's name and address", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const byId = await agent.ok([...NETWORK, "--name=web-1"], [
    "sh",
    "-c",
    "hostname; cat /etc/hosts",
  ]);
  assertEquals(byId, "web-1\n127.0.0.1 localhost\n::1 localhost\n192.168.0.2 web-1\n");
  const asked = await agent.ok([...NETWORK, "--hostname=front.example"], [
    "sh",
    "-c",
    "hostname; cat /etc/hostname; getent hosts front.example",
  ]);
  assertMatch(asked, /^front\.example\nfront\.example\n192\.168\.0\.3\s+front\.example\n$/);
});

Deno.test("run: resolv.conf is the network's, else the default, else the agent's", async () => {
  const dns = {
    nameservers: ["192.0.2.1", "192.0.2.2"],
    domain: "example",
    search: ["a.example", "b.example"],
    options: ["ndots:2"],
  };
  const withDns = { ...bridgeNetwork("with-dns"), dns };
  await using agent = await Agent.create(bridgeNetwork(), withDns);
  const text = "domain example\nsearch a.example b.example\noptions ndots:2\n" +
    "nameserver 192.0.2.1\nnameserver 192.0.2.2\n";
  const resolv = (flags: string[]) => agent.ok(flags, ["cat", "/etc/resolv.conf"]);
  assertEquals(await resolv(["--networks=with-dns"]), text);
  assertEquals(await resolv(NETWORK), await agent.read("/etc/resolv.conf"));
  const defaults = `--default_container_dns=${
    JSON.stringify({
      mesos: [
        { network_mode: "CNI", dns: { nameservers: ["192.0.2.9"] } },
        { network_mode: "CNI", network_name: "special", dns: { nameservers: ["192.0.2.8"] } },
      ],
    })
  }`;
  agent.define(bridgeNetwork("special"));
  assertEquals(await resolv([defaults, ...NETWORK]), "nameserver 192.0.2.9\n");
  assertEquals(await resolv([defaults, "--networks=special"]), "nameserver 192.0.2.8\n");
  assertEquals(await resolv([defaults, "--networks=with-dns"]), text);
});

Deno.test("run: the agent's own files and hostname stay as they are", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const before = await agent.sandbox.ok(["sh", "-c", `hostname; cat /etc/hosts /etc/resolv.conf`]);
  const inside = await agent.ok([...NETWORK, "--hostname=other"], [
    "sh",
    "-c",
    "echo 6.6.6.6 evil >>/etc/hosts; tail -n 1 /etc/hosts; " +
    "echo nameserver 6.6.6.6 >/etc/resolv.conf && echo written; true",
  ]);
  // The network names no server, so its resolv.conf is the agent's own, and not to be changed.
  assertEquals(inside, "6.6.6.6 evil\n");
  const after = await agent.sandbox.ok(["sh", "-c", `hostname; cat /etc/hosts /etc/resolv.conf`]);
  assertEquals(after, before);
});

Deno.test("run: --env, and LIBPROCESS_IP as executors need it", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const env = { LIBPROCESS_IP: "198.51.100.1" };
  const print = ["sh", "-c", 'echo "$A|$LIBPROCESS_IP"'];
  const flags = ["--env=A=b=c d", ...NETWORK];
  assertEquals(await agent.ok(flags, print, { env }), "b=c d|0.0.0.0\n");
  // Nothing else of who calls, not even what is no text; and of their descriptors the three.
  const script = 'export BAD="$(printf "\\377")" SECRET=1; exec 9</etc/passwd; exec "$@"';
  const look = [
    "sh",
    "-c",
    "env | cut -d= -f1 | sort | tr '\\n' ' '; ls /proc/self/fd | tr '\\n' ' '",
  ];
  const shell = ["sh", "-c", script, "sh", ...agent.runArgv(["--env=A=1"], look)];
  const listed = await agent.sandbox.ok(shell, {
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", TERM: "dumb" },
  });
  assertEquals(listed, "A PATH PWD TERM 0 1 2 3 "); // PWD is the shell's, 3 that of ls
  // In the agent's network the agent's address is the right one.
  assertEquals(await agent.ok(["--env=A=1"], print, { env }), "1|198.51.100.1\n");
});

Deno.test("run: an image is the container's root, with its own files in /etc", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const rootfs = await image(agent);
  Deno.writeTextFileSync(`${rootfs}/etc/hosts`, "the image's own\n");
  const flags = [...NETWORK, `--rootfs=${rootfs}`, PATH, "--name=web"];
  const output = await agent.ok(flags, [
    "sh",
    "-c",
    "ls /; ip -o -4 a; cat /etc/host*; ls /.. /proc/1",
  ]);
  for (const text of ["bin\n", "192.168.0.2/16", "192.168.0.2 web", "web\n"]) {
    assertStringIncludes(output, text);
  }
  assertEquals(output.includes("var"), false, output);
  assertEquals(Deno.readTextFileSync(`${rootfs}/etc/hosts`), "the image's own\n");
  assertEquals((await agent.run(flags, ["no-such-command"])).code, 127);
});

Deno.test("run: an image has the network's resolv.conf", async () => {
  const dns = { nameservers: ["192.0.2.1"], search: ["a.example"] };
  await using agent = await Agent.create({ ...bridgeNetwork(), dns });
  const flags = [...NETWORK, `--rootfs=${await image(agent)}`, PATH];
  assertEquals(
    await agent.ok(flags, ["cat", "/etc/resolv.conf"]),
    "search a.example\nnameserver 192.0.2.1\n",
  );
});

Deno.test("run: an image in the agent's network has the agent's files, read-only", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const flags = [`--rootfs=${await image(agent)}`, PATH];
  assertEquals(
    await agent.ok(flags, ["cat", "/etc/resolv.conf"]),
    await agent.read("/etc/resolv.conf"),
  );
  for (const name of ["hosts", "resolv.conf"]) {
    const before = await agent.read(`/etc/${name}`);
    const { code, stderr } = await agent.run(flags, ["sh", "-c", `echo x >/etc/${name}`]);
    assertNotEquals(code, 0);
    assertStringIncludes(stderr, "Read-only");
    assertEquals(await agent.read(`/etc/${name}`), before);
  }
});

Deno.test("run: symlinks of an image lead nowhere", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const rootfs = await image(agent);
  const victim = `${agent.sandbox.dir}/victim`;
  Deno.writeTextFileSync(victim, "untouched");
  Deno.symlinkSync(victim, `${rootfs}/etc/resolv.conf`);
  Deno.symlinkSync("../../../../../../../../etc/passwd", `${rootfs}/etc/hosts`);
  Deno.symlinkSync("nowhere", `${rootfs}/etc/hostname`);
  const passwd = await agent.read("/etc/passwd");
  for (const network of [NETWORK, []]) {
    const output = await agent.ok([...network, `--rootfs=${rootfs}`, PATH, "--name=web"], ETC);
    assertStringIncludes(output, "localhost");
    assertEquals(Deno.readTextFileSync(victim), "untouched");
    assertEquals(await agent.read("/etc/passwd"), passwd);
  }
  await Deno.remove(`${rootfs}/etc`, { recursive: true });
  Deno.symlinkSync(agent.sandbox.dir, `${rootfs}/etc`);
  const { code, stderr } = await agent.run([...NETWORK, `--rootfs=${rootfs}`, PATH], ["true"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, `${rootfs}/etc is no directory`);
  assertEquals([...Deno.readDirSync(agent.sandbox.dir)].map(({ name }) => name).sort(), [
    "image",
    "networks",
    "plugins",
    "victim",
  ]);
});

Deno.test("run: an image without /etc gets one", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const rootfs = await image(agent);
  await Deno.remove(`${rootfs}/etc`, { recursive: true });
  assertStringIncludes(
    await agent.ok([...NETWORK, `--rootfs=${rootfs}`, PATH, "--name=web"], ETC),
    "192.168.0.2 web",
  );
});

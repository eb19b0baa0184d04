/**
 * The typical mistakes, each made on the compiled program: what it says must name what is wrong, and
 * what to do next. Exit code 2 for a wrong call, 1 for one that fails.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import { Sandbox } from "../harness/sandbox.ts";

const ENV = {
  MESOS_NETWORK_CNI_CONFIG_DIR: fromFileUrl(new URL("../../examples/networks", import.meta.url)),
  MESOS_NETWORK_CNI_PLUGINS_DIR: CNI_PLUGINS,
};

/** The call, its exit code, and what standard error holds: what is wrong, and what to do next. */
type Mistake = [call: string, code: number, ...says: string[]];

const WORDS: Mistake[] = [
  ["lst", 2, "unknown command: lst", "did you mean list?", "try: mesos-cni --help"],
  ["ps", 2, "did you mean list?"],
  ["ls", 2, "did you mean list?"],
  ["prune", 2, "did you mean gc?"],
  ["rm web-1", 2, "did you mean cleanup?"],
  ["ping web-1", 2, "did you mean diagnose?"],
  ["diagnos web-1", 2, "did you mean diagnose?"],
  ["-v", 2, "did you mean version?"],
  ["explain CNI414", 2, "did you mean lint?"],
  ["list --format=json", 2, "unknown flag --format (did you mean --json?)"],
  ["netns", 2, "needs one of: list, inspect", "try: mesos-cni netns --help"],
  ["netns lst", 2, "did you mean netns list?", "try: mesos-cni netns --help"],
  ["isolator ps", 2, "one of: networks, prepare"],
  ["network remove cni-test", 2, "did you mean network rm?"],
  ["network get cni-test", 2, "did you mean network show?"],
  ["list --jsn", 2, "unknown flag --jsn", "did you mean --json?"],
  ["list --dry-run", 2, "unknown flag --dry-run"],
  ["list --json=true", 2, "--json takes no value"],
  ["list web-1", 2, "unexpected web-1", "flags only"],
  ["status --output=/run/pipe", 1, "can't write /run/pipe: it is no regular file"],
  ["status --output=/run/link", 1, "can't write /run/link: it is a link"],
  ["gc web-1", 2, "unexpected web-1", "flags only"],
  ["list --log-level=loud", 2, "none of debug, info, warning, error"],
  ["list --log-format=xml", 2, "none of text, json"],
  ["topology --format=png", 2, "none of tree, mermaid, dot"],
  ["completions tcsh", 2, "bash, zsh, fish"],
];

const CONTAINERS: Mistake[] = [
  ["inspect", 2, "the container is missing", "mesos-cni list"],
  ["inspect wb-1", 1, 'no container "wb-1"', "did you mean web-1?"],
  ["inspect web", 1, '"web" begins 2 ids', "web-1\n", "web-2"],
  ["inspect web-1 web-2", 2, "unexpected web-2", "one ID at a time"],
  ["inspect --pid=abc", 2, "--pid=abc is no process id"],
  ["inspect --pid=9999999", 1, "there is no process 9999999"],
  ["inspect --pid=1 web-1", 2, "one namespace at a time"],
  ["inspect --netns=/etc/passwd", 1, "/etc/passwd is no handle of a namespace"],
  ["identify", 2, "identify PID"],
  ["identify x", 2, "x is no process id"],
  ["list --runtime_dir=/nope", 2, "--runtime_dir=/nope: there is no such directory"],
  ["exec web-1 ip a", 2, 'the command follows "--"', "mesos-cni exec web-1 -- ip a"],
  ["exec web-1 -- nosuch", 127, "no program nosuch on this agent", "--mount"],
  ["exec web-1 -- /etc/passwd", 126, "can't be executed (EACCES)", "an executable file"],
  ["exec web-1 --mount -- nosuch", 127, "no such program in the container", "without --mount"],
  ["exec --all", 2, "--all needs a command", "--all -- COMMAND"],
  ["shell web-1 -- ls -l", 2, "mesos-cni exec web-1 -- ls -l"],
  ["capture web-1 port 80", 2, 'the filter follows "--"', "mesos-cni capture web-1 -- port 80"],
  ["capture web-1 --count=x", 2, "--count=x is no number"],
  ["capture web-1 --interface=eth9", 1, 'no interface "eth9", but: lo, eth0'],
  ["netns link nobody", 1, 'no container "nobody"', "mesos-cni list"],
  ["check wb-1", 1, "did you mean web-1?", "mesos-cni list"],
  ["cleanup", 2, "one container id is needed", "mesos-cni list"],
  ["cleanup web", 1, "nothing to clean up", "the whole id, such as web-"],
  ["cleanup web-1", 1, "container web-1 lives, as process ", "--force"],
  ["cleanup wb-1", 1, "nothing to clean up of wb-1: did you mean web-1?"],
  ["cleanup nobody", 1, "nothing to clean up of nobody: there is no such", "mesos-cni list"],
  ["isolator isolate web-9 x", 2, "x is no process id"],
  ["isolator isolate web-9 1", 1, "container web-9 is not prepared", "isolator prepare web-9"],
  ["isolator serve --socket=/nope/x/y", 1, "can't make /nope/x", "no such file"],
  ["gc --agent=127.0.0.1:5051", 1, "must be like http://127.0.0.1:5051"],
];

const DIAGNOSES: Mistake[] = [
  ["diagnose", 2, "the container is missing", "mesos-cni list"],
  ["diagnose wb-1", 1, "did you mean web-1?"],
  ["diagnose --pid=abc", 2, "no process id"],
  ["diagnose hosted", 1, "uses the agent's own network"],
  ["diagnose web-1 --agent=foo", 2, "not like 192.0.2.1:5051"],
  ["diagnose web-1 --agent=192.0.2.1:99999", 2, "with a port from 1 to 65535"],
  ["diagnose --from=web-1", 2, "--from=ID|ADDRESS and --to=ID|HOST:PORT"],
  ["diagnose web-1 --to=192.0.2.1:80", 2, "diagnose --from=web-1 --to=192.0.2.1:80"],
  ["diagnose --from=web-1 --to=web-2:99999", 2, "is no container", "192.0.2.1:80"],
  ["diagnose --from=web-1 --to=192.0.2.1:80/xyz", 2, "192.0.2.1:53/udp"],
  ["diagnose --from=web-1 --to=web-2", 2, "say which port: --to=web-2:PORT"],
  ["diagnose web-1 --fix", 2, "needs a terminal"],
  ["diagnose --all web-1", 2, "--all takes no ID"],
  ["diagnose web-1 --format=html", 2, "--format goes with --all"],
];

const RUNS: Mistake[] = [
  ["run --networks=cni-test", 2, "the command to run is missing", "-- COMMAND"],
  ["run -p 80:80 --networks=cni-test -- true", 2, "flag -p (did you mean --port_mappings?)"],
  ["run ls /tmp", 2, 'the command follows "--"', "mesos-cni run -- ls /tmp"],
  ["run --networks=bakend -- true", 1, '"bakend" is not defined in', "known: cni-test"],
  ["run --networks=cni-test,cni-test -- true", 1, "cni-test is asked for twice"],
  ["run --port_mappings=80:80 -- true", 2, "needs a network", "--networks=NET"],
  ["run --networks=port-mapper-test --port_mappings=80:80:80 -- true", 2, "is not like 8080:80"],
  ["run -- nosuch", 127, "there is no program nosuch"],
  ["run --networks=port-mapper-test --port_mappings=80 -- true", 2, "80 is not like 8080:80"],
  ["run --networks=port-mapper-test --port_mappings=70000:80 -- true", 2, "1 to 65535"],
  ["run --networks=port-mapper-test --port_mappings=80:80/icmp -- true", 2, "tcp, udp and sctp"],
  [
    "run --networks=cni-test --port_mappings=8090:80 -- true",
    2,
    "no plugin of cni-test maps ports",
    "such as port-mapper-test",
  ],
  [
    "run --networks=port-mapper-test --port_mappings=8080:80 -- true",
    1,
    "host port 8080/tcp is taken by container web-1",
    "choose another port, or remove that container first",
  ],
  ["run --name=../x -- true", 2, "is no container id: letters, digits"],
  ["run --name=web-1 --networks=cni-test -- true", 1, "exists and is alive", "another id"],
  ["run --networks=cni-test --hostname=a/b -- true", 2, "is no hostname: letters, digits"],
  ["run --rootfs=/nope -- true", 2, "there is no directory /nope"],
  ["run --labels=x -- true", 2, "not like KEY:VALUE"],
  ["run --env=x -- true", 2, "not like NAME=VALUE"],
  ["run --networks=cni-test -- nosuch", 127, "there is no program nosuch"],
  ["run --default_container_dns=8.8.8.8 -- true", 2, "neither JSON nor the absolute path"],
  ["run --network_cni_config_dir=/nope --networks=web -- true", 2, "=/nope: there is no such"],
  [
    "run --network_cni_plugins_dir=/nope --networks=cni-test -- true",
    2,
    "=/nope: there is no such",
  ],
];

const NETWORKS: Mistake[] = [
  ["networks --network_cni_config_dir=/nope", 2, "=/nope: there is no such directory"],
  ["network show", 2, "the network's name is missing"],
  ["network show cni-tst", 1, 'no network "cni-tst"', "did you mean cni-test?"],
  ["network rm cni-test", 1, "web-2", "end their tasks first"],
  ["lint /nope", 2, "cannot lint /nope", "no such file"],
  ["lint /run/empty", 2, "there is no config in /run/empty", "nothing was checked"],
  ["lint --format=xml /run", 2, "none of text, concise, json"],
  ["lint --explain=CNI999", 2, 'no rule "CNI999"', "did you mean"],
  ["lint --dry-run /run", 2, "--dry-run goes with --fix"],
  ["lint --rule=CNI414 /run", 2, "CODE=LEVEL", "CNI414=off"],
  ["lint --for=mesos /run", 2, "none of stock-agent, isolator, libcni"],
  ["install --network_cni_plugins_dir=/nope", 2, "no such directory", "mkdir -p /nope"],
  ["install --bin_dir=/etc/passwd", 2, "--bin_dir=/etc/passwd: it is no directory"],
  ["install --plugins=some", 2, "none of missing, all, none"],
];

/** An agent with two containers on networks, and one on the agent's own. */
class Place implements AsyncDisposable {
  readonly #running: Deno.ChildProcess[] = [];

  private constructor(readonly host: Sandbox) {}

  static async open(): Promise<Place> {
    const place = new Place(await Sandbox.create());
    await place.host.ok(["mkdir", "/run/empty"]);
    await place.host.ok(["mkfifo", "/run/pipe"]);
    await place.host.ok(["ln", "-s", "/run/file", "/run/link"]);
    await place.#start("web-1", "--networks=port-mapper-test", "--port_mappings=8080:80");
    await place.#start("web-2", "--networks=cni-test");
    await place.#start("hosted");
    return place;
  }

  async #start(id: string, ...flags: string[]): Promise<void> {
    const child = this.host.spawn(
      [MESOS_CNI, "run", `--name=${id}`, ...flags, "--", "sh", "-c", "echo up; cat"],
      { env: ENV },
    );
    const reader = child.stdout.getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value), "up\n");
    reader.releaseLock();
    this.#running.push(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running) {
      await child.stdin.close().catch(() => {});
      await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.status]);
    }
    await this.host[Symbol.asyncDispose]();
  }
}

const TABLES = { WORDS, CONTAINERS, DIAGNOSES, RUNS, NETWORKS };
/** Those that are made a second time, for their codes. */
const coded = partOf(Object.values(TABLES).flat().map(([call]) => call), 6);

Deno.test("mistakes are told what is wrong and what to do", async (test) => {
  // They change nothing, so that one place does for all.
  await using place = await Place.open();
  for (const [name, mistakes] of Object.entries(TABLES)) {
    await test.step(name.toLowerCase(), () =>
      // They wait more than they work.
      eachOf(partOf(mistakes, 2), async ([call, code, ...says]) => {
        const output = await place.host.run([MESOS_CNI, ...call.split(" ")], { env: ENV });
        assertEquals(output.code, code, `${call}\n${output.stderr}`);
        for (const words of says) assertStringIncludes(output.stderr, words, call);
        // Neither a stack nor the runtime's own words.
        assert(
          !/os error|\n\s+at |Error:|undefined|\[object/.test(output.stderr),
          output.stderr,
        );
        assertEquals(output.stdout, "", call);
        if (coded.includes(call)) await assertCoded(place, call, output.code);
      }));
  }
});

/** A few at a time, each to its end. */
async function eachOf<T>(list: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const waiting = [...list];
  const faults: unknown[] = [];
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      await work(one).catch((fault) => faults.push(fault));
    }
  }));
  if (faults.length > 0) throw faults[0];
}

/** With `--log-format=json`, a failure is a line of JSON with the code of the index of errors. */
async function assertCoded(place: Place, call: string, code: number): Promise<void> {
  if (code === 0 || code > 2) return;
  const [, ...words] = [MESOS_CNI, ...call.split(" ")];
  const end = words.indexOf("--");
  words.splice(end < 0 ? words.length : end, 0, "--log-format=json");
  if (call.includes("--log-format")) return;
  const { stderr } = await place.host.run([MESOS_CNI, ...words], { env: ENV });
  const last = JSON.parse(stderr.trim().split("\n").at(-1)!);
  assertEquals(last.level, "error", call);
  assertStringIncludes(INDEX, `\`${last.code}\``, call);
}

const INDEX = await Deno.readTextFile(new URL("../../docs/errors.md", import.meta.url)) +
  // Of the plugins, by number.
  [...Array(1000).keys()].map((number) => `\`cni_${number}\``).join("");

Deno.test("there are more than ninety of them", () => {
  const calls = Object.values(TABLES).flat().map(([call]) => call);
  assert(calls.length > 90, String(calls.length));
  assertEquals(new Set(calls).size, calls.length);
});

/** The units under a real systemd: start by the socket, stop, a crash, an upgrade, a reboot. */
import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { example, install, start } from "../harness/machine/agent.ts";
import { Machine } from "../harness/machine/machine.ts";
import { longMachineTest } from "../harness/machine/test.ts";
import { makeVariant, NEXT_VERSION } from "../harness/variant.ts";

const NEWER = "/root/mesos-cni-newer";
const SERVICE = "mesos-cni.service";

longMachineTest(
  "the units start, stop, come back after a crash, and survive an upgrade",
  async () => {
    const newer = await Deno.makeTempFile();
    try {
      await makeVariant(newer, NEXT_VERSION);
      await using machine = await Machine.start({
        parts: ["iptables", "socat", "systemd"],
        files: { [NEWER]: newer },
      });
      await install(machine, example("cni-test"));
      await machine.ok("systemctl daemon-reload && systemctl enable --now mesos-cni.socket");
      assertEquals(await state(machine), "inactive");
      assertStringIncludes(await ask(machine, "/healthz"), '"version":"0.1.0"'); // the socket starts it
      assertEquals(await state(machine), "active");

      await start(machine, "web", "--networks=cni-test", "exec sleep 100000");
      assertStringIncludes(await ask(machine, "/v1/containers"), "web");

      await machine.ok(`systemctl stop ${SERVICE}`);
      assertEquals(await state(machine), "inactive"); // and not failed
      await machine.ok(`systemctl start ${SERVICE}`);

      const first = await mainPid(machine);
      await machine.ok(`kill -KILL ${first}`);
      assertStringIncludes(await ask(machine, "/v1/containers"), "web");
      assertNotEquals(await mainPid(machine), first);

      await machine.ok(`${NEWER} install`);
      assertStringIncludes(await ask(machine, "/healthz"), '"version":"0.1.0"'); // nothing that runs is disturbed
      await machine.ok(`systemctl restart ${SERVICE}`);
      assertStringIncludes(await ask(machine, "/healthz"), '"version":"0.1.9"');
      assertStringIncludes(await ask(machine, "/v1/containers"), "web");

      await machine.reboot();
      assertEquals(JSON.parse(await ask(machine, "/v1/recover", "POST"))[0]?.outcome, undefined);
      assertEquals(await machine.ok("mesos-cni list --json"), "[]\n");
      assertEquals(await state(machine), "active");
    } finally {
      await Deno.remove(newer);
    }
  },
);

async function state(machine: Machine): Promise<string> {
  return (await machine.run(`systemctl is-active ${SERVICE}`)).stdout.trim();
}

async function mainPid(machine: Machine): Promise<string> {
  return (await machine.ok(`systemctl show --property=MainPID --value ${SERVICE}`)).trim();
}

/** The body of the service's answer. */
async function ask(machine: Machine, path: string, method = "GET"): Promise<string> {
  const request = `${method} ${path} HTTP/1.1\\r\\nHost: agent\\r\\nConnection: close\\r\\n` +
    `${method === "POST" ? "Content-Length: 0\\r\\n" : ""}\\r\\n`;
  const answer = await machine.ok(
    `printf '${request}' | timeout 60 socat -t 60 - UNIX-CONNECT:/run/mesos-cni/isolator.sock`,
  );
  assertStringIncludes(answer, "HTTP/1.1 200");
  return answer.slice(answer.indexOf("\r\n\r\n") + 4);
}

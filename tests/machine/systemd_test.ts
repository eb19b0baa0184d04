/** The units under a real systemd: start by the socket, stop, a crash, an upgrade, a reboot. */
import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { example, install, start } from "../harness/machine/agent.ts";
import { Machine } from "../harness/machine/machine.ts";
import { longMachineTest } from "../harness/machine/test.ts";
import { makeVariant, NEXT_VERSION } from "../harness/variant.ts";

const NEWER = "/root/mesos-cni-newer";
const SERVICE = "mesos-cni.service";
const TEXTFILES = "/var/lib/prometheus/node-exporter";

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

      // The timer of metrics, whose directory is node exporter's: one that finds a fault has not failed.
      await machine.ok(`mkdir -p ${TEXTFILES} && systemctl enable --now mesos-cni-metrics.timer`);
      assertStringIncludes(await metrics(machine), "mesos_cni_");
      assertEquals(await result(machine), "success");

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

      await machine.ok(`rm ${TEXTFILES}/mesos-cni.prom`);
      await machine.reboot();
      await metrics(machine);
      assertEquals(await result(machine), "success");
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

/** What the timer's unit has written for node exporter, which it does ten seconds after the timer's start. */
async function metrics(machine: Machine): Promise<string> {
  const file = `${TEXTFILES}/mesos-cni.prom`;
  return await machine.ok(
    `for i in $(seq 250); do [ -e ${file} ] && break; sleep 1; done; cat ${file}`,
  );
}

/** How the unit of metrics ended last, once it has ended. */
async function result(machine: Machine): Promise<string> {
  const unit = "mesos-cni-metrics.service";
  const ended = `[ "$(systemctl is-active ${unit})" = inactive ]`;
  await machine.ok(`for i in $(seq 250); do ${ended} && break; sleep 1; done; ${ended}`);
  return (await machine.ok(`systemctl show --property=Result --value ${unit}`)).trim();
}

async function mainPid(machine: Machine): Promise<string> {
  return (await machine.ok(`systemctl show --property=MainPID --value ${SERVICE}`)).trim();
}

/** The body of the service's answer. */
async function ask(machine: Machine, path: string, method = "GET"): Promise<string> {
  const request = `${method} ${path} HTTP/1.1\\r\\nHost: agent\\r\\nConnection: close\\r\\n` +
    `${method === "POST" ? "Content-Length: 0\\r\\n" : ""}\\r\\n`;
  const answer = await machine.ok(
    `printf '${request}' | timeout 250 socat -t 250 - UNIX-CONNECT:/run/mesos-cni/isolator.sock`,
  );
  assertStringIncludes(answer, "HTTP/1.1 200");
  return answer.slice(answer.indexOf("\r\n\r\n") + 4);
}

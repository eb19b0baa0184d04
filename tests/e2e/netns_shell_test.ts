/** The prompt of `netns shell`, in each shell with a prompt of its user's own. */
import { assertEquals } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { kernelTest } from "../harness/kernel.ts";
import { partOf } from "../harness/part.ts";
import { Pty } from "../harness/pty.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { bridgeNetwork, StockContainer } from "../harness/stock_agent.ts";

const SHELLS: { shell: string; rc: string; own: string; prompt: RegExp; text: string }[] = [
  {
    shell: "bash",
    rc: ".bashrc",
    own: 'PS1="mine-$((6*7))> "\n',
    prompt: /\[netns web\] mine-42> /,
    text: "echo $((40+2))-in",
  },
  {
    shell: "zsh",
    rc: ".zshrc",
    own: 'PS1="mine-$((6*7))> "\n',
    prompt: /\[netns web\] mine-42> /,
    text: "echo $((40+2))-in",
  },
  {
    shell: "fish",
    rc: ".config/fish/config.fish",
    own: "function fish_prompt; echo -n mine-(math 6 x 7)'> '; end\n",
    prompt: /\[netns web\] mine-42> /,
    text: "echo (math 40 + 2)-in",
  },
  { shell: "sh", rc: ".profile", own: "", prompt: /\[netns web\] # /, text: "echo $((40+2))-in" },
];

for (const { shell, rc, own, prompt, text } of partOf(SHELLS, 2, "runtime")) {
  kernelTest(`${shell}: the prompt says where it is, before the user's own`, async () => {
    await using host = await Sandbox.create();
    await using _ = await StockContainer.launch(host, "web", [
      bridgeNetwork("net-a", "10.1.0.0/16"),
    ]);
    const file = `${host.dir}/${rc}`;
    await host.ok(["mkdir", "-p", file.slice(0, file.lastIndexOf("/"))]);
    Deno.writeTextFileSync(file, own);
    await using pty = new Pty(host.enter([MESOS_CNI, "shell", "web"]), {
      HOME: host.dir,
      XDG_CONFIG_HOME: `${host.dir}/.config`,
      SHELL: (await host.ok(["sh", "-c", `command -v ${shell}`])).trim(),
      TERM: "dumb",
    });
    await pty.expect(prompt);
    pty.type(`${text}\n`);
    await pty.expect(/42-in\r?\n/);
    // Once, and not once more before each.
    await pty.expect(prompt);
    pty.type("exit 7\n");
    assertEquals(await pty.ended(), 7);
  });
}

kernelTest("with the container's files, the prompt of its sh says where it is", async () => {
  await using host = await Sandbox.create();
  await using _ = await StockContainer.launch(host, "web", [bridgeNetwork("net-a", "10.1.0.0/16")]);
  await using pty = new Pty(host.enter([MESOS_CNI, "shell", "web", "--mount"]), { TERM: "dumb" });
  await pty.expect(/\[netns web\] # /);
  pty.type("exit 5\n");
  assertEquals(await pty.ended(), 5);
});

/**
 * The linter in real editors, set up as docs/lint-rules.md says: Debian's Neovim and Emacs without a
 * screen, and Visual Studio Code's extension with its client's library. Left out where they are not.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { MESOS_CNI } from "../harness/binary.ts";
import { TEXT } from "../harness/editor.ts";

const DOCS = Deno.readTextFileSync(new URL("../../docs/lint-rules.md", import.meta.url));
/** As `./dev` has it from editors/vscode/package.sh: npm is asked for its parts. */
const VSIX = fromFileUrl(new URL("../../dist/mesos-cni.vsix", import.meta.url));
const isPackaged = await Deno.stat(VSIX).then(() => true, () => false);

/** The block of a language in the documents. */
function guide(language: string): string {
  const block = new RegExp("```" + language + "\n([\\s\\S]*?)```").exec(DOCS)?.[1];
  assert(block, language);
  return block.replaceAll(/^ {2}/gm, "");
}

function has(program: string): boolean {
  return new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" })
    .outputSync().success;
}

/** A home with the program in PATH, and a network config with a mistake. */
async function inHome<T>(act: (home: string, file: string) => Promise<T>): Promise<T> {
  const home = await Deno.makeTempDir({ prefix: "mesos-cni-lint-" });
  try {
    await Deno.mkdir(join(home, "bin"));
    await Deno.symlink(MESOS_CNI, join(home, "bin", "mesos-cni"));
    await Deno.mkdir(join(home, "cni"));
    const file = join(home, "cni", "net.conf");
    await Deno.writeTextFile(file, TEXT);
    return await act(home, file);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

async function run(home: string, command: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command[0]!, {
    args: command.slice(1),
    cwd: home,
    env: {
      HOME: home,
      XDG_CONFIG_HOME: home,
      PATH: `${home}/bin:${Deno.env.get("PATH")}`,
    },
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${said}`);
  return said;
}

Deno.test(
  "Neovim, set up as documented, shows findings",
  { ignore: !has("nvim") },
  () =>
    inHome(async (home, file) => {
      const script = `${guide("lua")}
        vim.schedule(function()
          vim.cmd("edit ${file}")
          local buffer = vim.api.nvim_get_current_buf()
          local function found() return vim.diagnostic.get(buffer) end
          if not vim.wait(30000, function() return #found() > 0 end) then vim.cmd("cquit") end
          for _, one in ipairs(found()) do print(one.lnum, one.code or "", one.message) end
          vim.cmd("quitall!")
        end)`;
      await Deno.writeTextFile(join(home, "init.lua"), script);
      const said = await run(home, ["nvim", "--headless", "-n", "-u", join(home, "init.lua")]);
      assertStringIncludes(said, "CNI501");
      assertStringIncludes(said, 'did you mean "isGateway"?');
    }),
);

Deno.test(
  "Emacs, set up as documented, shows findings",
  { ignore: !has("emacs") },
  () =>
    inHome(async (home, file) => {
      const script = `(package-initialize)
${guide("elisp")}
(defun wait-for (what) (let ((tries 0))
  (while (not (funcall what))
    (when (> (setq tries (1+ tries)) 3000) (error "it did not come"))
    (accept-process-output nil 0.01))))
(find-file "${file}")
(run-hooks 'post-command-hook)
(wait-for #'eglot-current-server)
(flymake-start)
(wait-for #'flymake-diagnostics)
(dolist (one (flymake-diagnostics)) (message "found %s" (flymake-diagnostic-text one)))
(kill-emacs 0)`;
      const init = join(home, "init.el");
      await Deno.writeTextFile(init, script);
      const said = await run(home, ["emacs", "--batch", "--load", init]);
      assertStringIncludes(said, "bridge knows no key");
    }),
);

Deno.test(
  `Visual Studio Code's extension, as packaged, shows findings${
    isPackaged ? "" : " (skipped: ./dev could not package it)"
  }`,
  { ignore: !isPackaged || !has("node") },
  () =>
    inHome(async (home, file) => {
      await run(home, ["busybox", "unzip", "-q", VSIX, "-d", home]);
      const extension = join(home, "extension");
      const double = fromFileUrl(new URL("../fixtures/lint/vscode.cjs", import.meta.url));
      const list = join(home, "net.conflist");
      await Deno.writeTextFile(list, `{"cniVersion": "1.0.0", "name": "n", "plugins": [${TEXT}]}`);
      for (const [path, line] of [[file, 4], [list, 4]] as const) {
        const said = await run(home, ["node", double, extension, MESOS_CNI, path]);
        const found = JSON.parse(said);
        assert(
          found.some((one: { code: string; line: number }) =>
            one.code === "CNI501" && one.line === line
          ),
          JSON.stringify(found),
        );
      }
      const { contributes } = JSON.parse(await Deno.readTextFile(`${extension}/package.json`));
      const [{ fileMatch, url }] = contributes.jsonValidation;
      assert(fileMatch.includes("**/cni/*.conf") && fileMatch.includes("*.conflist"));
      const schema = await run(home, [MESOS_CNI, "lint", "--schema"]);
      assertEquals(await Deno.readTextFile(join(extension, url)), schema);
    }),
);

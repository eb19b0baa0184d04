/** CNI2xx: the files themselves, and the plugins they name. */
import { basename, dirname } from "@std/path";
import { isPluginType } from "../../cni/config.ts";
import { type PluginNode, PORT_MAPPER } from "../document.ts";
import { octal } from "../octal.ts";
import { isExecutable } from "../plugins_dir.ts";
import type { Fix, Safety, WrittenRule } from "../rule.ts";
import { misspeltType } from "../schemas/mod.ts";
import { SETTINGS_FILE } from "../settings_file.ts";
import { entries, everyIn, property, text } from "../tree.ts";
import { bridge, calico, json } from "./example.ts";
import type { Node } from "jsonc-parser";

const WRITABLE_BY_OTHERS = 0o002;
const WRITABLE_BY_GROUP = 0o020;
const READABLE_BY_OTHERS = 0o004;

export const FILES: readonly WrittenRule[] = [
  {
    code: "CNI201",
    name: "unreadable",
    title: "the file can't be read, or is a link to nowhere",
    why:
      "An agent logs it and goes on without the network. Links break when what they point to is " +
      "renamed by an update of the package that owns it.",
    bad: { "net.conf": "" },
    needs: "with net.conf a link to a file that is gone",
    *ofSource({ obstacle }) {
      if (obstacle?.kind === "dangling link") {
        yield {
          message: `this is a link to ${obstacle.detail}, which is not there`,
          help: "correct the link, or delete it",
        };
      } else if (obstacle?.kind === "unreadable") {
        yield {
          message: `the file can't be read: ${obstacle.detail}`,
          help: "check its owner and mode; an agent reads it as root",
        };
      }
    },
  },
  {
    code: "CNI202",
    name: "ignored",
    severity: "info",
    title: "something in the directory is no network to an agent",
    why:
      "An agent reads every file of the directory, whatever its name, and nothing below it. What is " +
      "not JSON makes it log an error at each start.",
    bad: { "net.conf": bridge(), "README.md": "# Our networks\n" },
    *ofSource(source) {
      const { obstacle, path, listed } = source;
      if (obstacle?.kind === "directory") {
        yield {
          message: "an agent ignores this: it reads no directories below the one it is given",
          help: "move configs that should count one level up",
        };
      } else if (obstacle?.kind === "special file") {
        yield {
          message: "an agent can make nothing of this: it is no regular file",
          help: "delete it, or move it elsewhere",
        };
      } else if (!obstacle && listed && !source.hasConfigName && !isNetwork(source.root)) {
        yield {
          message: "an agent reads this file as well, and logs an error since it is no network",
          help: basename(path) === SETTINGS_FILE
            ? "keep the linter's settings elsewhere and name them with --config"
            : "move it out of the directory of configs",
        };
      }
    },
  },
  {
    code: "CNI203",
    name: "backup-file",
    severity: "warning",
    title: "a backup or other file that an agent takes for a network",
    why:
      "An agent reads every file of the directory, whatever its name: copies that editors and package " +
      "managers leave behind define networks too, and which of two files with one name counts depends " +
      "on the order of the directory.",
    bad: { "net.conf.bak": bridge() },
    *ofSource(source) {
      if (!source.isBystander || source.obstacle || !isNetwork(source.root)) return;
      yield {
        at: property(source.root, "name"),
        message: `an agent reads this file as well: it defines the network ${
          JSON.stringify(text(property(source.root, "name")))
        }`,
        help: "move it out of the directory, or name it .conf or .conflist if it should count",
      };
    },
  },
  {
    code: "CNI204",
    name: "writable-by-others",
    severity: "warning",
    title: "users other than the owner may write to the config",
    why:
      "What a config says is executed as root at the next container: whoever may write to it, or put " +
      "another one into the directory, is root. With --probe, the group and the owner of the file count as " +
      "well, since on an agent both should be root's.",
    bad: bridge(),
    needs: "mode 0666",
    fix: "safe",
    *ofSource({ facts, isBystander }, { machine }) {
      if (!facts || isBystander) return;
      const { mode, uid } = facts;
      const unwanted = WRITABLE_BY_OTHERS | (machine ? WRITABLE_BY_GROUP : 0);
      if (mode & unwanted) {
        yield {
          message:
            `${mode & WRITABLE_BY_OTHERS ? "every user" : "the file's group"} may change what ` +
            `is executed as root here (mode ${octal(mode)})`,
          help: `chmod ${octal(mode & ~unwanted)}`,
          fix: becoming(mode & ~unwanted, "safe"),
        };
      }
      if (machine && uid !== 0) {
        yield {
          message: `the file belongs to user ${uid}, who can change what is executed as root here`,
          help: "chown root:root",
        };
      }
    },
    *ofDirectory([document]) {
      const { facts, path } = document?.source ?? {};
      if (!facts?.directoryMode || !(facts.directoryMode & WRITABLE_BY_OTHERS)) return;
      yield {
        source: document!.source,
        message: `every user can put a network into ${dirname(path!)}, which is executed as root`,
        help: `chmod o-w ${dirname(path!)}`,
      };
    },
  },
  {
    code: "CNI205",
    name: "readable-secret",
    severity: "warning",
    title: "a secret in a file that every user can read",
    why:
      "Passwords and tokens in a config are there for every user and every task of the host network. " +
      "With --probe, the key files that the config names are looked at as well.",
    bad: calico({ policy: { type: "k8s", k8s_auth_token: "eyJhbGciOi" } }),
    needs: "mode 0644",
    good: calico({ kubernetes: { kubeconfig: "/etc/cni/net.d/calico-kubeconfig" } }),
    fix: "unsafe",
    *ofNetwork({ root, source }, { machine }) {
      const mode = source.facts?.mode ?? 0;
      for (const [key, value] of secrets(root)) {
        if (/file$|^kubeconfig$/i.test(key) || value.value.startsWith("/")) {
          const itsMode = machine?.mode(value.value) ?? 0;
          if (!(itsMode & READABLE_BY_OTHERS)) continue;
          yield {
            at: value,
            message: `every user can read ${JSON.stringify(value.value)} (mode ${octal(itsMode)})`,
            help: `chmod ${octal(itsMode & ~0o077)} ${JSON.stringify(value.value)}`,
          };
        } else if (mode & READABLE_BY_OTHERS) {
          yield {
            at: value,
            message: `every user can read "${key}" here (mode ${octal(mode)})`,
            help: `chmod ${octal(mode & ~0o077)}`,
            // Who else reads the file is not known.
            fix: becoming(mode & ~0o077, "unsafe"),
          };
        }
      }
    },
  },
  {
    code: "CNI206",
    name: "plugin-missing",
    title: "a plugin is not in the directory of plugins",
    why: "An agent skips a network whose plugin or IPAM plugin it doesn't find in " +
      "--network_cni_plugins_dir at its start; a delegate that is missing shows only at the first " +
      "container. Looked for with --plugins-dir.",
    bad: json({ cniVersion: "1.0.0", name: "net", type: "brdige" }),
    needs: "--plugins-dir=/usr/lib/cni",
    *ofPlugin(plugin, { plugins }) {
      for (const [type, at] of executed(plugin)) {
        if (!plugins || plugins.find(type)) continue;
        const isOurs = type === PORT_MAPPER;
        yield {
          at,
          severity: isOurs ? "warning" : "error",
          message: `there is no plugin ${JSON.stringify(type)} in ${plugins.path}`,
          help: isOurs
            ? "a stock agent needs it there (mesos-cni install); mesos-cni's own isolator has it built in"
            : misspeltType(type)
            ? `did you mean "${misspeltType(type)}"?`
            : "install it there, or check the spelling",
        };
      }
    },
  },
  {
    code: "CNI207",
    name: "plugin-mode",
    title: "a plugin can't be executed, or users other than root may write to it",
    why:
      "A plugin is a regular file with the execute bit. Copying one through a file system or an " +
      "archive without modes loses the bit. It is executed as root for every container, so that who may " +
      "write to it is root: a warning. Looked for with --plugins-dir.",
    bad: bridge(),
    needs: "--plugins-dir with a bridge of mode 0644",
    *ofPlugin(plugin, { plugins }) {
      for (const [type, at] of executed(plugin)) {
        const file = plugins?.find(type);
        if (!file) continue;
        const { path, mode, uid, isFile } = file;
        if (!isExecutable(file)) {
          yield {
            at,
            message: isFile
              ? `${path} can't be executed (mode ${octal(mode)})`
              : `${path} is no file`,
            help: isFile ? `chmod 755 ${path}` : "put the plugin there",
          };
        }
        if (mode & (WRITABLE_BY_OTHERS | WRITABLE_BY_GROUP)) {
          yield {
            at,
            severity: "warning",
            message: `${path} is executed as root, and ${
              mode & WRITABLE_BY_OTHERS ? "every user" : "its group"
            } may change it (mode ${octal(mode)})`,
            help: `chmod ${octal(mode & ~0o022)} ${path}`,
          };
        }
        if (uid !== 0) {
          yield {
            at,
            severity: "warning",
            message: `${path} is executed as root, and belongs to user ${uid}`,
            help: `chown root:root ${path}`,
          };
        }
      }
    },
  },
];

/** The plugins that this one's config makes someone execute, with the place that says so. */
function executed({ node, type, types, role }: PluginNode): [string, Node][] {
  const named = types.filter(([type]) => isPluginType(type));
  // What flannel delegates to when nothing is said.
  return !type && role === "partial" ? [...named, ["bridge", node]] : named;
}

/** Whether an agent makes a network of it. */
function isNetwork(root: Node | undefined): boolean {
  return text(property(root, "name")) !== undefined &&
    (text(property(root, "type")) !== undefined || property(root, "plugins")?.type === "array");
}

/** Keys that hold a secret, or the path of a file that holds one. */
const SECRET = /^(etcd_key_file|kubeconfig)$|(password|passwd|secret|auth_?token|api_?key)$/i;

function* secrets(root: Node): Generator<[string, Node]> {
  for (const node of everyIn(root, 4)) {
    for (const { name, value } of entries(node)) {
      if (value?.type === "string" && value.value !== "" && SECRET.test(name)) yield [name, value];
    }
  }
}

function becoming(mode: number, safety: Safety): Fix {
  return { safety, title: `make the mode ${octal(mode)}`, mode };
}

import { isPluginType } from "../../cni/config.ts";
import type { WrittenRule } from "../rule.ts";
import { isNamed, misspeltType } from "../schemas/mod.ts";
import { field, property, quote, text } from "../tree.ts";
import { network } from "./example.ts";

export const rule: WrittenRule = {
  code: "CNI117",
  name: "unknown-type",
  severity: "warning",
  title: "no plugin is known by this name, and none was found",
  why:
    "The type is the file name of the plugin, and any file may be one: what this program does not know " +
    "is looked for where plugins usually are on this machine, which need not be the one that reads the " +
    "file. With --plugins-dir, the directory says what is there, and CNI206 what is not.",
  bad: network({ type: "brigde", bridge: "cni0" }),
  good: network({ type: "bridge", bridge: "cni0" }),
  *ofPlugin({ node, ipam }, { plugins, usualPlugins: usual }) {
    if (plugins) return;
    for (const at of [property(node, "type"), field(ipam, "type")]) {
      const type = text(at);
      if (!type || !isPluginType(type) || isNamed(type) || usual?.find(type)) continue;
      const right = misspeltType(type);
      yield {
        at,
        message: `no plugin is known by the name ${quote(type)}, and ${
          usual?.path
            ? `there is none in ${usual.path}`
            : "there is no directory of plugins here to look in"
        }`,
        help: (right ? `did you mean "${right}"? ` : "check the spelling; ") +
          "--plugins-dir=DIR looks where the agent has its plugins",
      };
    }
  },
};

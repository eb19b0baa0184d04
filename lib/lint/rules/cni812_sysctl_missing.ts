import type { Rule } from "../rule.ts";
import { entries, quote } from "../tree.ts";
import { bridgeFields, list } from "./example.ts";

const tuning = (name: string) =>
  list(bridgeFields(), { type: "tuning", sysctl: { [name]: "500" } });

export const rule: Rule = {
  code: "CNI812",
  name: "sysctl-missing",
  severity: "error",
  title: "the kernel of this machine has no such sysctl in a network of its own",
  why:
    "tuning writes to a file below /proc/sys in the container's network, and fails where there is none: a " +
    "misspelt name, one that only the host's network has, or one of a module that is not loaded.",
  bad: tuning("net.core.somaxcon"),
  needs: "--probe",
  good: tuning("net.core.somaxconn"),
  *ofPlugin(plugin, { machine }) {
    if (!machine || plugin.type !== "tuning") return;
    for (const { key, name } of entries(plugin.field("sysctl"))) {
      // The name of the interface is that of the container's, which is made first.
      if (!/^net[./]/.test(name) || /IFNAME|\.\./.test(name)) continue;
      if (machine.hasSysctl(name.replaceAll(".", "/")) !== false) continue;
      yield {
        at: key,
        message: `this machine's kernel knows no ${quote(name)} in a container's network`,
        help: "look for its name below /proc/sys/net, or load the module that it belongs to",
      };
    }
  },
};

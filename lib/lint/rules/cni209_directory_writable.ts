import { dirname } from "@std/path";
import type { WrittenRule } from "../rule.ts";
import { bridge } from "./example.ts";

export const rule: WrittenRule = {
  code: "CNI209",
  name: "directory-writable",
  severity: "warning",
  title: "every user can put a network into the directory",
  why:
    "An agent reads every file of the directory, and executes as root what it says. That a file itself is " +
    "only root's helps nothing there: another one can be put beside it, or in its place.",
  bad: { "net.conf": bridge() },
  needs: "in a directory of mode 0777",
  *ofDirectory([document]) {
    const { facts, path } = document?.source ?? {};
    if (!facts?.directoryMode || !(facts.directoryMode & 0o002)) return;
    yield {
      source: document!.source,
      message: `every user can put a network into ${dirname(path!)}, which is executed as root`,
      help: `chmod o-w ${dirname(path!)}`,
    };
  },
};

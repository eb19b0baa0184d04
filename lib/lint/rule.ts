/** What a rule is: the text that explains it, and a check that looks at one kind of thing. */
import type { Node } from "jsonc-parser";
import type { Document, PluginNode } from "./document.ts";
import type { Machine } from "./machine.ts";
import type { Reader } from "./reader.ts";
import type { PluginsDir } from "./plugins_dir.ts";
import type { Edit, Range } from "./range.ts";
import type { Source } from "./source.ts";

/** error: an agent, a plugin or the kernel refuses it. warning: it works otherwise than it reads. */
export const SEVERITIES = ["error", "warning", "info"] as const;
export type Severity = (typeof SEVERITIES)[number];

/**
 * safe: what it changes was refused before or is read by nobody, and it says plainly what was
 * meant; `--fix` applies it. unsafe: what was meant is a guess, or a plugin's own type or
 * configuration of a plugin that is not known in full; shown, and applied with `--unsafe-fixes`.
 */
export const SAFETIES = ["safe", "unsafe"] as const;
export type Safety = (typeof SAFETIES)[number];

/** A change of a file that a finding proposes. */
export interface Fix {
  safety: Safety;
  /** What it does, as an imperative: `rename the key to "isGateway"`. */
  title: string;
  /** Changes to the text, not overlapping. */
  edits?: Edit[];
  /** The file's new permission bits. */
  mode?: number;
}

/** What a check found. */
export interface Found {
  /** Where; the start of the file when absent. */
  at?: Range | Node;
  /** One sentence, without a full stop. */
  message: string;
  /** What to do about it. */
  help: string;
  fix?: Fix;
  /** When this one is not of the rule's own severity. */
  severity?: Severity;
}

/** What a check across files found. */
export interface FoundIn extends Found {
  source: Source;
}

/** What checks may look at besides the named files; each part only if the operator asked for it. */
export interface Context {
  /** `--plugins-dir` */
  plugins?: PluginsDir;
  /** Where plugins usually are on this machine, for types that are not known; any may be another machine's. */
  usualPlugins?: PluginsDir;
  /** `--probe` */
  machine?: Machine;
  /** `--for`; absent: whoever can read the file, see {@link readerOf}. */
  reader?: Reader;
  /** All rules there are, for the rule that looks at their names. */
  rules?: readonly RuleText[];
  /** What is found in a file before anything is spared, whoever reads it. */
  unspared?: (source: Source) => readonly Diagnostic[];
}

/** A config as an operator would write it, or several files of one directory. */
export type Example = string | Readonly<Record<string, string>>;

export interface RuleText {
  /** Stable; never given to another rule: `CNI402`. */
  code: string;
  /** The same for people: `host-bits`. */
  name: string;
  severity: Severity;
  /** One line for the table of rules, without a full stop. */
  title: string;
  /** The background: what happens, and why. */
  why: string;
  /** The rule finds something in this … */
  bad: Example;
  /** … and nothing in this; a bridge that works, unless it is said. */
  good?: Example;
  /** What an example needs besides its text: `chmod 666 net.conf`, `--probe`. */
  needs?: string;
  /** The best fix that it offers, if any. */
  fix?: Safety;
  /**
   * Whether it speaks of something that is missing: where a key is misspelt or has a value of
   * the wrong type, that is the finding, and this one would only follow from it.
   */
  ofAbsence?: boolean;
}

/** A rule with its checks: of a file's text, its network, each of its plugins, all networks of a directory. */
export interface Rule extends RuleText {
  ofSource?(source: Source, context: Context): Iterable<Found>;
  ofNetwork?(document: Document, context: Context): Iterable<Found>;
  ofPlugin?(plugin: PluginNode, context: Context): Iterable<Found>;
  ofDirectory?(documents: readonly Document[], context: Context): Iterable<FoundIn>;
}

/** A rule as its file has it: most of what is found is an error. */
export type WrittenRule = Omit<Rule, "severity"> & { severity?: Severity };

/** A finding with all that a reporter shows. */
export interface Diagnostic {
  code: string;
  name: string;
  severity: Severity;
  source: Source;
  range: Range;
  message: string;
  help: string;
  fix?: Fix;
}

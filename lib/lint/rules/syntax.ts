/** CNI0xx: whether the file is JSON at all, as every reader of it understands JSON. */
import { printParseErrorCode } from "jsonc-parser";
import type { Node } from "jsonc-parser";
import { lookup } from "../../base/json.ts";
import { foreignFormat, slipAt } from "../foreign_text.ts";
import type { Edit, Range } from "../range.ts";
import type { Found, WrittenRule } from "../rule.ts";
import { DEPTH_LIMIT, SIZE_LIMIT, type Source } from "../source.ts";
import { entries, everyIn, keyNode, kindOf, quote } from "../tree.ts";
import { isManifest, MOST_PLUGINS } from "../document.ts";
import { isTemplate, placeholderAt, unreplaced } from "../placeholder.ts";
import { bridge, json } from "./example.ts";

/** The rule that stands for all that follows from a placeholder. */
export const TEMPLATE = "CNI012";

/** Whether a rule about the text has a text to look at. */
function isText(source: Source): boolean {
  return isRead(source) && !source.isBlank;
}

function isRead(source: Source): boolean {
  return !source.obstacle && !source.isTooLarge && source.encoding !== "utf-16" &&
    !source.isBystander;
}

export const SYNTAX: readonly WrittenRule[] = [
  {
    code: "CNI001",
    name: "invalid-json",
    title: "the file is not JSON",
    why: "An agent logs that it can't parse the file and goes on without the network; the first " +
      "task that asks for it fails. Only the first mistake is shown: what follows it is often " +
      "a consequence. A file that is empty only sometimes is written in place, and not beside and renamed.",
    bad: '{\n  "name": "net",\n  "type": "bridge"\n  "bridge": "cni0"\n}\n',
    fix: "safe",
    *ofSource(source) {
      if (isRead(source) && !source.encoding && source.isBlank) {
        yield { message: "the file is empty", help: "write a network config, or delete the file" };
      }
      if (!isText(source) || source.syntax.tooDeep) return;
      const error = source.syntaxError;
      if (error) {
        const code = printParseErrorCode(error.error);
        const foreign = foreignFormat(source) ?? slipAt(source, error.offset);
        const { edits, ...found } = foreign ?? {
          at: { offset: error.offset, length: Math.max(1, Math.min(error.length, 40)) },
          ...explained(code, source, error.offset),
        };
        yield { ...found, fix: edits && { safety: "safe", title: found.help, edits } };
        return;
      }
      if (source.syntax.comments.length > 0 || source.syntax.trailingCommas.length > 0) return;
      // The judge is the parser that will read the file; the other one only knows places.
      try {
        JSON.parse(source.text);
      } catch (error) {
        yield {
          at: { offset: Number(/position (\d+)/.exec(String(error))?.[1] ?? 0), length: 1 },
          message: `this is not JSON: ${(error as Error).message}`,
          help: "write plain JSON (RFC 8259)",
        };
      }
    },
  },
  {
    code: "CNI002",
    name: "duplicate-key",
    severity: "warning",
    title: "a key stands twice in one object",
    why:
      "JSON readers take the last value and drop the others without a word, so that an edit of " +
      "the first one has no effect.",
    bad: '{\n  "name": "net",\n  "type": "bridge",\n  "bridge": "cni0",\n  "bridge": "cni1"\n}\n',
    *ofSource(source) {
      if (isText(source) && !source.syntaxError) yield* duplicates(source);
    },
  },
  {
    code: "CNI003",
    name: "comment",
    title: "a comment, which JSON doesn't have",
    why: "Neither an agent nor a plugin accepts comments; the file is skipped.",
    bad: '{\n  // for the web tier\n  "name": "net",\n  "type": "bridge"\n}\n',
    good: bridge({ _comment: "for the web tier" }),
    *ofSource(source) {
      if (!isText(source)) return;
      const { comments } = source.syntax;
      if (comments.length === 0) return;
      yield {
        at: comments[0],
        message: `JSON has no comments${comments.length > 1 ? ` (${comments.length} here)` : ""}`,
        help: 'delete it, or keep the words in a key that no plugin reads, such as "_comment"',
      };
    },
  },
  {
    code: "CNI004",
    name: "trailing-comma",
    title: "a comma before a closing bracket",
    why: "Neither an agent nor a plugin accepts it; the file is skipped.",
    bad: '{\n  "name": "net",\n  "type": "bridge",\n}\n',
    fix: "safe",
    *ofSource(source) {
      if (!isText(source) || source.syntax.tooDeep) return;
      for (const at of source.syntax.trailingCommas) {
        // Behind another mistake, no bracket is certain.
        if (at.offset > (source.syntaxError?.offset ?? Infinity)) return;
        yield {
          at,
          message: "a comma with nothing after it",
          help: "delete the comma",
          fix: { safety: "safe", title: "delete the comma", edits: [{ ...at, content: "" }] },
        };
      }
    },
  },
  {
    code: "CNI005",
    name: "byte-order-mark",
    title: "a byte order mark before the JSON",
    why: "Editors on Windows put the bytes EF BB BF in front of UTF-8. Go's and Mesos's JSON " +
      "parsers refuse them, and no editor shows them.",
    bad: '\ufeff{\n  "name": "net",\n  "type": "bridge"\n}\n',
    fix: "safe",
    *ofSource(source) {
      if (!source.hasBom || source.isTooLarge || source.isBystander) return;
      yield {
        message: "the file starts with a byte order mark, which JSON parsers refuse",
        help: "save it as UTF-8 without a byte order mark",
        // Writing the text back is the fix: it is kept without the mark.
        fix: { safety: "safe", title: "delete the byte order mark", edits: [] },
      };
    },
  },
  {
    code: "CNI006",
    name: "not-utf-8",
    title: "the file is not UTF-8",
    why:
      "JSON is UTF-8 (RFC 8259, section 8.1). An agent refuses UTF-16 altogether; single bytes of " +
      "an older encoding are replaced by one reader and refused by the next.",
    bad: '{\n  "name": "net",\n  "type": "bridge",\n  "_comment": "B\xfcro"\n}\n',
    needs: "saved as Latin-1",
    good: bridge({ _comment: "Büro" }),
    *ofSource(source) {
      if (!source.encoding || source.isTooLarge || source.isBystander) return;
      const at = source.text.indexOf("\ufffd");
      yield {
        at: at < 0 ? undefined : { offset: at, length: 1 },
        message: source.encoding === "utf-16"
          ? "the file is UTF-16, not UTF-8"
          : "these bytes are not UTF-8",
        help: "save the file as UTF-8, or convert it with iconv -t UTF-8",
      };
    },
  },
  {
    code: "CNI007",
    name: "not-an-object",
    title: "the file holds something other than a JSON object",
    why: "A network config is one object. A list of networks in one file is not a thing: each " +
      "network has a file of its own.",
    bad: '[\n  { "name": "net", "type": "bridge" }\n]\n',
    *ofSource(source) {
      const { root } = isText(source) ? source : {};
      if (!root || root.type === "object" || source.syntaxError) return;
      yield {
        at: { offset: root.offset, length: 1 },
        message: `a network config is an object, and this is ${kindOf(root)}`,
        help: root.type === "array"
          ? 'write each network in a file of its own, or the plugins of one network in its "plugins"'
          : 'write {"name": …, "type": …}',
      };
    },
  },
  {
    code: "CNI009",
    name: "too-large",
    title: `the file is larger than 1 MiB, or has too many levels (${DEPTH_LIMIT}) or plugins ` +
      `(${MOST_PLUGINS})`,
    why:
      "No network config is: a log or an image has been copied into the directory, and is not looked at " +
      "any further. Of nested brackets, the readers of the file give up at different depths, some with a " +
      "crash. Each plugin is executed for each container, one after the other: that is a warning.",
    bad: bridge(),
    needs: "more than 1 MiB of it",
    *ofSource(source) {
      if (source.isTooLarge && !source.isBystander) {
        yield {
          message: `the file is larger than ${SIZE_LIMIT >> 20} MiB`,
          help: "move it elsewhere, if it is no network config",
        };
      }
      if (!isText(source) || !source.syntax.tooDeep) return;
      yield {
        at: source.syntax.tooDeep,
        message: `brackets are nested deeper than ${DEPTH_LIMIT} levels`,
        help: "check what wrote this file",
      };
    },
    *ofNetwork({ root, pluginCount }) {
      if (pluginCount <= MOST_PLUGINS) return;
      yield {
        at: keyNode(root, "plugins"),
        severity: "warning",
        message:
          `the network has ${pluginCount} plugins; only the first ${MOST_PLUGINS} are checked`,
        help: "check what wrote this file",
      };
    },
  },
  {
    code: "CNI011",
    name: "kubernetes-manifest",
    title: "the file is a Kubernetes manifest",
    why:
      "A manifest such as a NetworkAttachmentDefinition has the network config inside, as a string in " +
      "spec.config. Multus takes it out; an agent and libcni read only the config itself.",
    bad: json({
      apiVersion: "k8s.cni.cncf.io/v1",
      kind: "NetworkAttachmentDefinition",
      metadata: { name: "net" },
      spec: { config: '{"cniVersion": "1.0.0", "name": "net", "type": "bridge"}' },
    }),
    *ofSource(source) {
      if (!isText(source) || !isManifest(source)) return;
      yield {
        at: keyNode(source.root, "apiVersion"),
        message: "the file is a Kubernetes manifest, not a network config",
        help: "write a file with the config that stands in it, such as the text of spec.config",
      };
    },
  },
  {
    code: TEMPLATE,
    name: "placeholder",
    severity: "warning",
    title: "a placeholder of a template was not replaced",
    why:
      "What a template has for a value, such as {{ subnet }}, ${SUBNET}, __SUBNET__, @SUBNET@ or <subnet>, " +
      "is text like any other to an agent. Where it makes the file no JSON, or is no value that the " +
      "plugin takes, it is an error. It is reported once a file, and nothing that follows from it.",
    bad: bridge({}, { dataDir: "{{ leases }}" }),
    *ofSource(source) {
      if (!isText(source) || source.syntax.tooDeep) return;
      const error = source.syntaxError;
      const places = error
        ? [placeholderAt(source.text, error.offset)].filter(({ length }) => length > 0)
        : templates(source.root);
      const at = places[0];
      if (!at) return;
      yield {
        at,
        severity: error ? "error" : "warning",
        ...unreplaced(source.text.slice(at.offset, at.offset + at.length)),
      };
    },
  },
];

/** Strings that are placeholders, or hold one; none of what is said to people. */
function templates(node: Node | undefined, depth = 0): Node[] {
  if (!node || depth > 20) return [];
  if (node.type === "string") return isTemplate(node.value) ? [node] : [];
  if (node.type === "array") return node.children!.flatMap((item) => templates(item, depth + 1));
  return [...entries(node)].flatMap(({ key, name, value }) =>
    name.startsWith("_") ? [] : [...templates(key), ...templates(value, depth + 1)]
  );
}

/** What a syntax error means, in words that say what to type. */
function explained(
  code: string,
  source: Source,
  offset: number,
): Pick<Found, "message" | "help"> & { at?: Range; edits?: Edit[] } {
  const here = source.text[offset];
  const seen = here === undefined ? "the end of the file" : quote(here);
  switch (code) {
    case "CommaExpected": {
      if (here === undefined || !'"{[-0123456789tfn'.includes(here)) {
        return {
          message: `a comma or a closing bracket must stand here, not ${seen}`,
          help: "check that each bracket is closed by one of its own kind",
        };
      }
      // The comma belongs to the end of the last entry, however far away the next one is.
      const end = source.text.slice(0, offset).trimEnd().length;
      const isNextLine = source.text.slice(end, offset).includes("\n");
      return {
        at: { offset: end, length: 1 },
        message: "a comma is missing here, before the next entry",
        help: "add a comma",
        // On one line, it may as well be a quote that is missing.
        edits: isNextLine ? [{ offset: end, length: 0, content: "," }] : undefined,
      };
    }
    case "CloseBraceExpected":
      return { ...behind(source, offset), message: "a } is missing", help: "close the object" };
    case "CloseBracketExpected":
      return { ...behind(source, offset), message: "a ] is missing", help: "close the list" };
    case "EndOfFileExpected":
      if (here !== "{" && here !== "[") break;
      return {
        message: "a second object starts here, and a file holds one network",
        help: "write each network in a file of its own",
      };
  }
  const [message, help] = lookup(PROBLEMS, code) ??
    [`this is not JSON (${code})`, "write plain JSON (RFC 8259)"];
  return { message: message.replace("SEEN", () => seen), help };
}

const NO_ESCAPE = ["a backslash starts no known escape", "write a backslash as \\\\"] as const;
const NO_NUMBER = ["this is no number", "write digits, as in 1500 or -1"] as const;

/** What the parser's errors mean, and what to type. */
const PROBLEMS: Readonly<Record<string, readonly [string, string]>> = {
  ColonExpected: ["a colon is missing before SEEN", 'write "key": value'],
  PropertyNameExpected: ["a key in double quotes must stand here, not SEEN", 'write "key": value'],
  ValueExpected: [
    "a value must stand here, not SEEN",
    "write a string, number, object, list, true, false or null",
  ],
  EndOfFileExpected: ["nothing may follow the object, but SEEN does", "delete the rest"],
  InvalidSymbol: [
    "this is no JSON value",
    "put strings in double quotes; true, false and null are in lower case",
  ],
  UnexpectedEndOfString: ["the string has no closing quote", 'close it with "'],
  InvalidCharacter: [
    "a control character inside a string",
    "write it as an escape: \\n, \\t or \\u0000",
  ],
  InvalidEscapeCharacter: NO_ESCAPE,
  InvalidUnicode: NO_ESCAPE,
  InvalidNumberFormat: NO_NUMBER,
  UnexpectedEndOfNumber: NO_NUMBER,
};

/** The place where a text ends too early: behind its last character, not on an empty line below. */
function behind({ text }: Source, offset: number): { at?: Range } {
  if (offset < text.length) return {};
  return { at: { offset: text.trimEnd().length, length: 1 } };
}

function* duplicates(source: Source): Generator<Found> {
  for (const node of everyIn(source.root)) {
    const first = new Map<string, Node>();
    for (const { key, name } of entries(node)) {
      const earlier = first.get(name);
      first.set(name, key);
      if (!earlier) continue;
      const { line } = source.position(earlier.offset);
      // tuning looks for it, and refuses it.
      const isSysctl = node.parent?.children?.[0]?.value === "sysctl";
      yield {
        at: key,
        severity: isSysctl ? "error" : undefined,
        message: `the key ${quote(name)} stands here again; the one of line ${line} has no effect`,
        help: "keep one of the two",
      };
    }
  }
}

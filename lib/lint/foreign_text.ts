/** Recognises texts that are not JSON: other formats, and slips of people who write JSON by hand. */
import { lookup } from "../base/json.ts";
import type { Source } from "./source.ts";
import type { Edit, Range } from "./range.ts";

/** What a text is instead, where that shows, and the way out. */
export interface Foreign {
  at: Range;
  message: string;
  help: string;
  edits?: Edit[];
}

/** The first line, what it shows the file to be, and the way out. */
type Format = [RegExp, string, string];

const PATCH: Format = [
  /^(diff |Index: |--- \S+[/.]|\+\+\+ |@@ |\*\*\* \S+[/.]|[+] *[{[])/,
  "the file is a patch, with a mark before each line",
  "apply it with patch or git apply, or delete the marks",
];

/** Formats that show in the first line of a file: what the file is, and what to do. */
const FORMATS: readonly Format[] = [
  [
    /^(```|~~~)/,
    "the file starts with a fence of Markdown",
    "delete the lines with ```, before and after the JSON",
  ],
  [
    /^(#!|(sudo |[$#] )?(cat|tee|echo|printf) .*(<<|>))/,
    "the file holds the shell command that was to write it",
    "keep only what stands between the command and its end mark",
  ],
  [
    /^([$#>] \S|\S+@\S+[:~ ].*[$#] |# cat )/,
    "the file holds what stood on a terminal, with its prompt",
    "keep only the JSON",
  ],
  PATCH,
  [/^<(\?xml|!doctype|html)/i, "the file is XML or HTML", "write a network config in JSON"],
  [
    /^[0-9]+[:.]?\s+[{[]/,
    "the lines are numbered, as an editor or a web page shows them",
    "delete the numbers",
  ],
  [
    /^\w+( "[^"]*")* \{|^\w+\s*=\s*(["{[]|<<)/,
    "the file is HCL, as Nomad and Terraform have it",
    "write a network config in JSON: jsonencode() of Terraform makes it",
  ],
  [
    /^\[[\w .-]+\]$|^\w+=\S/,
    "the file is INI or a list of variables",
    "write a network config in JSON",
  ],
];

/** Another format, or what a tool has put into the file; undefined if it looks like JSON. */
export function foreignFormat({ text }: Source): Foreign | undefined {
  const marker = /^(?:<{7}|={7}|>{7}|\|{7})(?= |\r?$)/m.exec(text);
  if (marker && /^<{7} /m.test(text) && /^>{7} /m.test(text)) {
    return {
      at: { offset: marker.index, length: 7 },
      message: "a merge was left unfinished: git's conflict markers are in the file",
      help:
        "keep one side of each conflict, and delete the lines with <<<<<<<, ======= and >>>>>>>",
    };
  }
  const start = /\S/.exec(text)?.index ?? 0;
  const line = text.slice(start, (text.indexOf("\n", start) + 1 || text.length + 1) - 1).trimEnd();
  const at = { offset: start, length: Math.min(Math.max(1, line.length), 40) };
  const body = text.slice(start);
  const isPatch = /^[+-]\s*["{}[\]]/m.test(text) &&
    text.split("\n").every((line) => line.trim() === "" || /^[ +\t-]/.test(line));
  const format = isPatch ? PATCH : FORMATS.find(([pattern]) => pattern.test(line));
  if (format) return { at, message: format[1], help: format[2] };
  const isYaml = /^(---|%YAML)/.test(line) || /^["']?[A-Za-z_][\w./-]*["']?\s*:(\s|$)/.test(line) ||
    (/^#/.test(line) && /^["']?[A-Za-z_][\w./-]*["']?\s*:(\s|$)/m.test(body) &&
      !/^\s*\{/m.test(body));
  if (!isYaml) return undefined;
  return /^\s*["']?apiVersion["']?\s*:/m.test(body) && /^\s*["']?kind["']?\s*:/m.test(body)
    ? {
      at,
      message: "the file is a Kubernetes manifest in YAML, not a network config",
      help: "keep only the JSON that stands in it, such as spec.config; Mesos reads no manifests",
    }
    : {
      at,
      message: "the file is YAML, and a network config is JSON",
      help:
        "convert it: python3 -c 'import json,sys,yaml; json.dump(yaml.safe_load(sys.stdin),sys.stdout)'",
    };
}

const CURLY = /[\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d\uff02]/;

/** What other languages write for the words of JSON. */
const LITERALS = {
  True: "true",
  TRUE: "true",
  False: "false",
  FALSE: "false",
  None: "null",
  Null: "null",
  NULL: "null",
  nil: "null",
  undefined: "null",
};

/** Names what stands where a JSON parser stopped; undefined if it has no name. */
export function slipAt({ text }: Source, offset: number): Foreign | undefined {
  const rest = text.slice(offset, offset + 200);
  const word = /^[^\s,:{}[\]"]+/.exec(rest)?.[0] ?? rest.slice(0, 1);
  const at = { offset, length: Math.min(Math.max(1, word.length), 40) };
  if (CURLY.test(rest[0] ?? "")) {
    return {
      at,
      message: "typographic quotes, which JSON doesn't know",
      help: 'type straight ones: "',
    };
  }
  const strange = /^[\0\u00a0\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]+/.exec(rest)?.[0];
  if (strange) {
    const code = strange.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    return {
      at: { offset, length: strange.length },
      message: strange[0] === "\0"
        ? "a byte with the value 0, as a file has that was not written to its end"
        : `a character that looks like a space or like nothing (U+${code}), and is none of JSON's`,
      help: strange[0] === "\0" ? "write the file anew" : "type a space in its place",
    };
  }
  if (rest.startsWith("#") || rest.startsWith("--") || rest.startsWith(";")) {
    return {
      at,
      message: "JSON has no comments",
      help: 'delete it, or keep the words in a key that no plugin reads, such as "_comment"',
    };
  }
  if (rest[0] === "'") {
    return { at, message: "strings take double quotes", help: "write \"…\" in place of '…'" };
  }
  if (rest[0] === "`") {
    return { at, message: "strings take double quotes", help: 'write "…" in place of `…`' };
  }
  const literal = lookup(LITERALS, word);
  if (literal) {
    return {
      at,
      message: `${word} is written ${literal} in JSON`,
      help: `write ${literal}`,
      edits: [{ ...at, content: literal }],
    };
  }
  if (/^[+-]?(NaN|Infinity)\b/.test(rest)) {
    return { at, message: `${word} is no number in JSON`, help: "write a number" };
  }
  const before = text.slice(0, offset).trimEnd();
  const isKey = /^[A-Za-z_$][\w$.-]*["']?\s*[:=]/.test(rest) && /[{,]$/.test(before);
  if (isKey) {
    const key = /^[\w$.-]+/.exec(rest)![0];
    const half = rest[key.length] === '"';
    return {
      at: { offset, length: key.length },
      message: half ? `the key ${key} has no opening quote` : `the key ${key} has no quotes`,
      help: `write "${key}"`,
      edits: [{ offset, length: key.length + (half ? 1 : 0), content: `"${key}"` }],
    };
  }
  if (rest[0] === "=") {
    return {
      at: { offset, length: 1 },
      message: "between a key and its value stands a colon, not =",
      help: 'write "key": value',
      edits: [{ offset, length: rest[1] === ">" ? 2 : 1, content: ":" }],
    };
  }
  const digits = /[0-9]$/.test(before) && before.length === offset;
  if (digits && /^[0-9]/.test(rest)) {
    return {
      at,
      message: "a number has no zeros in front",
      help: "write it without them; JSON has no octal numbers",
    };
  }
  if (/^[0-9.]+[A-Za-z/.]|^[A-Za-z0-9][\w./:-]*\s*[,}\]\n]/.test(rest) && /[:[,]$/.test(before)) {
    return {
      at,
      message: `${JSON.stringify(word)} has no quotes`,
      help: "put it in double quotes",
    };
  }
  return undefined;
}

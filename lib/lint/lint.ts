/** Applies the rules to the files. */
import { dirname } from "@std/path";
import { type Document, documentOf, type PluginNode } from "./document.ts";
import type { Context, Diagnostic, Found, Rule, Severity } from "./rule.ts";
import { type Range } from "./range.ts";
import { READERS } from "./reader.ts";
import { mayBeTemplate, placeholderAt, unreplaced } from "./placeholder.ts";
import { RULES } from "./rules/mod.ts";
import { TEMPLATE } from "./rules/syntax.ts";
import type { Settings } from "./settings.ts";
import { slipsOf } from "./slips.ts";
import type { Source } from "./source.ts";

/** More findings of one rule in one file tell nothing new. */
const MOST_OF_A_KIND = 50;

/** @returns what the rules found, by file in the order of `sources`, then by place */
export function lint(
  sources: readonly Source[],
  settings: Settings,
  given: Context = {},
): Diagnostic[] {
  const rules = RULES.filter((rule) => settings.isOn(rule));
  const context: Context = {
    ...given,
    rules: RULES,
    unspared: (source) =>
      READERS.flatMap((reader) =>
        ofFile(source, { rules: RULES, settings, context: { reader } }).found
      ),
  };
  const diagnostics: Diagnostic[] = [];
  const documents: Document[] = [];
  for (const source of sources) {
    const { document, found } = ofFile(source, { rules, settings, context });
    if (document) documents.push(document);
    diagnostics.push(...found);
  }
  for (const together of byDirectory(documents)) {
    for (const rule of rules) {
      const counts = new Map<Source, number>();
      for (const found of rule.ofDirectory?.(together, context) ?? []) {
        const count = (counts.get(found.source) ?? 0) + 1;
        counts.set(found.source, count);
        if (count <= MOST_OF_A_KIND) {
          diagnostics.push(diagnostic(rule, found.source, found, settings));
        }
      }
    }
  }
  const shown = diagnostics.map((one) => settings.applied(one)).filter((one) => one !== undefined);
  const order = new Map(sources.map((source, i) => [source, i]));
  return shown.sort((a, b) =>
    order.get(a.source)! - order.get(b.source)! || a.range.offset - b.range.offset ||
    (a.code < b.code ? -1 : a.code > b.code ? 1 : 0)
  );
}

/** What rules find in a file alone. */
function ofFile(
  source: Source,
  { rules, settings, context }: { rules: readonly Rule[]; settings: Settings; context: Context },
): { document?: Document; found: Diagnostic[] } {
  const diagnostics: Diagnostic[] = [];
  const collect = (rule: Rule, found: Iterable<Found> = []) => {
    let count = 0;
    for (const one of found) {
      diagnostics.push(diagnostic(rule, source, one, settings));
      if (++count === MOST_OF_A_KIND) break;
    }
  };
  for (const rule of rules) collect(rule, rule.ofSource?.(source, context));
  // What seems to be missing in a broken text may stand where it can't be read.
  const document = source.syntaxError || source.encoding ? undefined : documentOf(source);
  if (!document || !isNetwork(document)) {
    return { found: withoutConsequences(diagnostics, rules) };
  }
  const slips = slipsIn(document);
  for (const rule of rules) {
    collect(rule, rule.ofNetwork?.(document, context));
    for (const plugin of document.plugins) {
      const slip = rule.ofAbsence ? slips.get(plugin) : undefined;
      if (slip === "error" || (slip && rule.severity !== "error")) continue;
      collect(rule, rule.ofPlugin?.(plugin, context));
    }
  }
  return { document, found: withoutConsequences(diagnostics, rules) };
}

/** A file with placeholders gets one finding for them, and none for what follows from them. */
function withoutConsequences(found: Diagnostic[], rules: readonly Rule[]): Diagnostic[] {
  const rule = rules.find(({ code }) => code === TEMPLATE);
  const literal = ({ source: { text }, range }: Diagnostic) =>
    text.slice(range.offset, range.offset + range.length);
  const others = rule
    ? found.filter((one) =>
      one.code !== TEMPLATE &&
      (one.code === "CNI001"
        ? placeholderAt(one.source.text, one.range.offset).length > 0
        : literal(one).startsWith('"') && mayBeTemplate(literal(one)))
    )
    : [];
  if (!rule || others.length === 0) return found;
  const first = found.find(({ code }) => code === TEMPLATE) ??
    { ...others[0]!, ...unreplaced(literal(others[0]!)), code: rule.code, name: rule.name };
  const severity = others.some((one) => one.severity === "error") ? "error" : first.severity;
  return [
    { ...first, severity, fix: undefined },
    ...found.filter((one) => one.code !== TEMPLATE && !others.includes(one)),
  ];
}

/**
 * The plugins in which a key is misspelt or has a value of the wrong type, with how bad that is:
 * what seems to be missing there may be what was misspelt.
 */
function slipsIn(document: Document): Map<PluginNode, Severity> {
  const slips = new Map<PluginNode, Severity>();
  for (const plugin of document.plugins) {
    const { misspelt, mistyped } = slipsOf(plugin);
    for (const { severity = "error" } of [...misspelt, ...mistyped]) {
      if (severity === "info") continue;
      for (let one: PluginNode | undefined = plugin; one; one = one.outer) {
        if (slips.get(one) !== "error") slips.set(one, severity);
      }
    }
  }
  return slips;
}

/** A bystander is a network only if an agent would take it for one. */
function isNetwork(document: Document): boolean {
  return !document.source.isBystander ||
    (document.name !== undefined &&
      (document.kind === "conflist" || document.plugins[0]?.type !== undefined));
}

function diagnostic(rule: Rule, source: Source, found: Found, settings: Settings): Diagnostic {
  const { at } = found;
  return {
    code: rule.code,
    name: rule.name,
    severity: settings.severityOf(rule, found.severity),
    source,
    range: within(source, at ?? { offset: 0, length: 0 }),
    message: found.message,
    help: found.help,
    fix: found.fix,
  };
}

/** A place at the end of the text is there, though no character is. */
function within({ text }: Source, { offset, length }: Range): Range {
  const start = Math.min(offset, text.length);
  return { offset: start, length: Math.min(length, text.length - start) };
}

/** An agent knows the networks of one directory. */
function byDirectory(documents: readonly Document[]): Iterable<Document[]> {
  return Map.groupBy(documents, (document) => dirname(document.source.path)).values();
}

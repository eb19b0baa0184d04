/**
 * Which rules are on, and how severe: `--select`, `--ignore`, `--rule=CODE=LEVEL` and
 * `.mesos-cni-lint.json`.
 */
import { OperatorError } from "../base/error.ts";
import { isObject, parseJson } from "../base/json.ts";
import { nearest } from "../base/nearest.ts";
import { contains, ignoresIn, names } from "./ignore.ts";
import { type Reader, READERS } from "./reader.ts";
import { type Diagnostic, type Rule, type RuleText, SEVERITIES, type Severity } from "./rule.ts";
import { RULES } from "./rules/mod.ts";
import { property, text } from "./tree.ts";

const LEVELS = [...SEVERITIES, "off"] as const;
type Level = (typeof LEVELS)[number];

export class Settings {
  /** Who reads the files, if the settings say. */
  reader?: Reader;
  #levels = new Map<string, Level>();
  #selected: string[] = [];
  #ignored: string[] = [];
  /** By the network's name. */
  #networks = new Map<string, Map<string, Level>>();

  /**
   * Sets a rule's level; a later call wins.
   *
   * @param rule its code or name
   * @param where what to name in an error: the flag, or the file
   * @param network only for the network of this name
   * @throws {OperatorError}
   */
  set(rule: string, level: unknown, where: string, network?: string): void {
    if (!(LEVELS as readonly unknown[]).includes(level)) {
      throw new OperatorError(
        "bad_lint_settings",
        `${where}: ${rule} can be ${LEVELS.join(", ")}, not ${JSON.stringify(level)}`,
      );
    }
    this.#of(network).set(ruleNamed(rule, where).code, level as Level);
  }

  #of(network: string | undefined): Map<string, Level> {
    if (network === undefined) return this.#levels;
    let levels = this.#networks.get(network);
    if (!levels) this.#networks.set(network, levels = new Map());
    return levels;
  }

  /**
   * Looks for these alone: codes, their beginnings (`CNI4`) or names, separated by commas.
   *
   * @throws {OperatorError}
   */
  select(rules: string, where: string): void {
    this.#selected.push(...rulesNamed(rules, where));
  }

  /** The opposite of {@link select}. */
  ignore(rules: string, where: string): void {
    this.#ignored.push(...rulesNamed(rules, where));
  }

  isOn(rule: Rule): boolean {
    if (this.#ignored.some((one) => names(one, rule))) return false;
    if (this.#selected.length > 0 && !this.#selected.some((one) => names(one, rule))) return false;
    return this.#levels.get(rule.code) !== "off";
  }

  severityOf(rule: Rule, own: Severity = rule.severity): Severity {
    const level = this.#levels.get(rule.code);
    return level === undefined || level === "off" ? own : level;
  }

  /** The finding as it is to be shown; undefined if its network or its place is to be spared. */
  applied(found: Diagnostic): Diagnostic | undefined {
    const { source, range } = found;
    const isSpared = ignoresIn(source).some(({ within, rule }) =>
      names(rule, found) && contains(within, range)
    );
    if (isSpared) return undefined;
    if (this.#networks.size === 0) return found;
    const levels = this.#networks.get(text(property(source.root, "name")) ?? "");
    const level = levels?.get(found.code);
    if (level === "off") return undefined;
    return level === undefined ? found : { ...found, severity: level };
  }
}

/** The rule of a code or name. @throws {OperatorError} with the nearest one */
export function ruleNamed(text: string, where: string): RuleText {
  const rule = RULES.find((rule) => rule.code === text.toUpperCase() || rule.name === text);
  if (rule) return rule;
  const guess = nearest(text, RULES.flatMap((rule) => [rule.code, rule.name]));
  throw new OperatorError(
    "unknown_lint_rule",
    `${where}: there is no rule ${JSON.stringify(text)}${guess ? ` (did you mean ${guess}?)` : ""}`,
  );
}

function rulesNamed(text: string, where: string): string[] {
  const rules = text.split(",").map((one) => one.trim()).filter((one) => one !== "");
  for (const one of rules) {
    if (!RULES.some((rule) => names(one, rule))) ruleNamed(one, where);
  }
  return rules;
}

/**
 * Adds the settings of a file:
 * `{"for": "isolator", "rules": {"CNI205": "error"}, "networks": {"internal": {"CNI414": "off"}}}`.
 *
 * @throws {OperatorError} if the text is anything else
 */
export function readSettings(settings: Settings, text: string, file: string): void {
  const wrong = (what: string) =>
    new OperatorError(
      "bad_lint_settings",
      `${file}: ${what}; write {"rules": {"CODE": "off" | "info" | "warning" | "error"}, ` +
        '"networks": {"NAME": {"CODE": …}}, "for": "…"}',
    );
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw wrong((error as Error).message);
  }
  if (!isObject(value)) throw wrong("not an object");
  for (const key of Object.keys(value)) {
    if (!["rules", "networks", "for", "$schema"].includes(key)) {
      throw wrong(`unknown key ${JSON.stringify(key)}`);
    }
  }
  const { rules = {}, networks = {}, for: reader } = value;
  if (!isObject(rules)) throw wrong('"rules" is not an object');
  for (const [rule, level] of Object.entries(rules)) settings.set(rule, level, file);
  if (!isObject(networks)) throw wrong('"networks" is not an object');
  for (const [network, own] of Object.entries(networks)) {
    if (!isObject(own)) throw wrong(`"networks": ${JSON.stringify(network)} is not an object`);
    for (const [rule, level] of Object.entries(own)) settings.set(rule, level, file, network);
  }
  settings.reader = READERS.find((one) => one === reader);
  if (reader !== undefined && !settings.reader) {
    throw wrong(`"for" is none of ${READERS.join(", ")}`);
  }
}

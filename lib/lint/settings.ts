/** Which rules are on, and how severe: `--rule=CODE=LEVEL` and `.mesos-cni-lint.json`. */
import { OperatorError } from "../base/error.ts";
import { nearest } from "../base/nearest.ts";
import { type Rule, type RuleText, SEVERITIES, type Severity } from "./rule.ts";
import { RULES } from "./rules/mod.ts";

const LEVELS = [...SEVERITIES, "off"] as const;
type Level = (typeof LEVELS)[number];

export class Settings {
  #levels = new Map<string, Level>();

  /**
   * Sets a rule's level; a later call wins.
   *
   * @param rule its code or name
   * @param where what to name in an error: the flag, or the file
   * @throws {OperatorError}
   */
  set(rule: string, level: unknown, where: string): void {
    if (!(LEVELS as readonly unknown[]).includes(level)) {
      throw new OperatorError(
        "bad_lint_settings",
        `${where}: ${rule} can be ${LEVELS.join(", ")}, not ${JSON.stringify(level)}`,
      );
    }
    this.#levels.set(ruleNamed(rule, where).code, level as Level);
  }

  isOn(rule: Rule): boolean {
    return this.#levels.get(rule.code) !== "off";
  }

  severityOf(rule: Rule, own: Severity = rule.severity): Severity {
    const level = this.#levels.get(rule.code);
    return level === undefined || level === "off" ? own : level;
  }
}

/**
 * The rule of a code or name.
 *
 * @throws {OperatorError} with the nearest one
 */
export function ruleNamed(text: string, where: string): RuleText {
  const rule = RULES.find((rule) => rule.code === text.toUpperCase() || rule.name === text);
  if (rule) return rule;
  const guess = nearest(text, RULES.flatMap((rule) => [rule.code, rule.name]));
  throw new OperatorError(
    "unknown_lint_rule",
    `${where}: there is no rule ${JSON.stringify(text)}${guess ? ` (did you mean ${guess}?)` : ""}`,
  );
}

/**
 * Adds the settings of a file: `{"rules": {"no-route-to-agent": "off", "CNI205": "error"}}`.
 *
 * @throws {OperatorError} if the text is anything else
 */
export function readSettings(settings: Settings, text: string, file: string): void {
  const wrong = (what: string) =>
    new OperatorError(
      "bad_lint_settings",
      `${file}: ${what}; write {"rules": {"CODE": "off" | "info" | "warning" | "error"}}`,
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong((error as Error).message);
  }
  if (!isRecord(value)) throw wrong("not an object");
  for (const key of Object.keys(value)) {
    if (key !== "rules") throw wrong(`unknown key ${JSON.stringify(key)}`);
  }
  const rules = value.rules ?? {};
  if (!isRecord(rules)) throw wrong('"rules" is not an object');
  for (const [rule, level] of Object.entries(rules)) settings.set(rule, level, file);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

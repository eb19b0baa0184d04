/** What is nobody else's business in what is read of an agent. */
import { isObject, parseJson } from "../base/json.ts";

export const LEFT_OUT = "(left out)";

/** Keys and flags whose value is a secret, or may hold one: what frameworks say in labels and variables too. */
const SECRET =
  /labels?$|annotations|env(?:ironment)?(?:_|$)|secret|token|passw|credential|private|api_?key|docker_config|modules|container_info/i;
/** A name and a password before the host of a URL, as ZooKeeper's. */
const LOGIN = /(:\/\/)[^\/\s@]*@/g;

/** JSON without them; a text that is no JSON can hold anything, and is left out. */
export function withoutSecrets(text: string): string {
  try {
    return JSON.stringify(cleaned(parseJson(text)), null, 2) + "\n";
  } catch {
    return `${LEFT_OUT}: it is no JSON, so that nothing tells what is secret in it\n`;
  }
}

function cleaned(value: unknown): unknown {
  if (typeof value === "string") return value.replaceAll(LOGIN, `$1${LEFT_OUT}@`);
  if (Array.isArray(value)) return value.map(cleaned);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map((
      [key, inner],
    ) => [key, SECRET.test(key) ? LEFT_OUT : cleaned(inner)]),
  );
}

/** A flag of an agent, as `name=value`. */
export function flagWithoutSecrets(name: string, value: string): string {
  return `--${name}=${SECRET.test(name) ? LEFT_OUT : cleaned(value)}`;
}

/** The function of `@std/cli` that this project uses. */

/** Its flags are known at run time only, so that each value is of unknown type. */
interface Args {
  _: (string | number)[];
  "--"?: string[];
  [name: string]: unknown;
}

/**
 * As `parseArgs` of `@std/cli`, of what this project hands it: flags of the table with two dashes,
 * switches with their value, and operands. A flag whose value is missing has the empty string.
 *
 * @param options `string` has "_" too, since operands that look like numbers would become numbers;
 *   `collect` all the others of it, which may be repeated
 */
export function parseArgs(
  args: string[],
  options: { boolean: string[]; string: string[]; collect: string[]; "--": true },
): Args {
  const { boolean, string, collect } = options;
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const result: Args = { _: [], "--": args.slice(end + 1) };
  for (const name of boolean) result[name] = false;
  for (const name of collect) result[name] = [];
  const left = args.slice(0, end);
  for (let arg = left.shift(); arg !== undefined; arg = left.shift()) {
    const [, name = "", value] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (!arg.startsWith("-") || arg === "-") {
      result._.push(arg);
    } else if (boolean.includes(name) && value !== undefined) {
      result[name] = value !== "false";
    } else if (string.includes(name) && collect.includes(name)) {
      const isValue = left[0] && !left[0].startsWith("-");
      (result[name] as string[]).push(value ?? (isValue ? left.shift()! : ""));
    } else {
      throw new TypeError(`${arg} is not what this stands in for`);
    }
  }
  return result;
}

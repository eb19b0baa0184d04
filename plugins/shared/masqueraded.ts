/** Whose masquerading it is, for each way of doing it. */
import type { Fields } from "./fields.ts";
import type { Call } from "./standard_plugin.ts";

/** What rules are named after, and the programs that may write them. */
export type Masqueraded = Pick<Call, "network" | "containerId" | "ifName"> & {
  config: Fields;
  invocation: { path: string };
};

/** The list of containers for people: which of them, in which order, and as wide as a terminal is. */
import type { Layout } from "../containers/layout.ts";
import { strayEntries } from "../containers/inventory.ts";
import type { ListedContainer } from "./list.ts";
import { age, plain, table, widthsOf } from "./table.ts";

/** What a filter can ask for; a container passes if any of its values begins so. */
const FILTERS: Readonly<Record<string, (container: ListedContainer) => string[]>> = {
  id: ({ id }) => [id],
  network: ({ networks }) => networks.map(({ network }) => network),
  address: ({ networks }) => networks.flatMap(({ addresses }) => addresses),
  port: ({ ports }) => ports,
  health: (one) => [...healthsOf(one), one.health === "ok" ? "ok" : "ill"],
  keeper: ({ keeper }) => [keeper],
  mode: ({ mode }) => [mode],
};

const ORDERS: Readonly<Record<string, (container: ListedContainer) => string | number>> = {
  id: ({ id }) => id,
  network: ({ networks }) => networks[0]?.network ?? "",
  address: ({ networks }) => networks[0]?.addresses[0] ?? "",
  pid: ({ pid }) => pid ?? 0,
  /** The youngest first. */
  age: ({ since }) => since === undefined ? 0 : -Date.parse(since),
  /** Those that are not well first. */
  health: (one) => one.health === "ok" ? "~" : healthsOf(one).join("; "),
};

export const FILTER_KEYS: readonly string[] = Object.keys(FILTERS);
export const ORDER_KEYS: readonly string[] = Object.keys(ORDERS);

/**
 * The containers that all filters let pass, in order.
 *
 * @param filters pairs of one of {@link FILTER_KEYS} and the beginning of what is wanted
 * @param order one of {@link ORDER_KEYS}
 */
export function select(
  containers: readonly ListedContainer[],
  filters: readonly (readonly [key: string, wanted: string])[],
  order: string,
): ListedContainer[] {
  const rank = ORDERS[order]!;
  return containers.filter((container) =>
    filters.every(([key, wanted]) =>
      FILTERS[key]!(container).some((value) => value.startsWith(wanted))
    )
  ).toSorted((a, b) => {
    const [one, other] = [rank(a), rank(b)];
    return one < other ? -1 : one > other ? 1 : 0;
  });
}

export interface ListStyle {
  /** Columns of the terminal; nothing is shortened without. */
  width?: number;
  /** Marks a health that is not ok. */
  ill: (text: string) => string;
}

/** Least width that a column is cut to. */
const LEAST = 8;
const SHORTEST_ID = 8;
const GAP = 2;

/** The list as a table, with a word on what lies beside the containers. */
export function listText(
  layout: Layout,
  containers: readonly ListedContainer[],
  { width, ill }: ListStyle,
): string {
  const strays = strayEntries(layout).map((name) =>
    `not a container's: ${layout.containers}/${plain(name)}`
  );
  if (containers.length === 0) {
    return [`no containers under ${layout.containers}`, ...strays].join("\n");
  }
  const headings = ["ID", "NETWORKS", "ADDRESSES", "PORTS", "PID", "AGE", "HEALTH"];
  let rows = containers.map((container) => cellsOf(container, container.id));
  if (width !== undefined && excessOf(widthsOf([headings, ...rows]), width) > 0) {
    const shortened = shortIds(containers.map(({ id }) => id));
    rows = containers.map((container, i) => cellsOf(container, shortened[i]!));
    rows = cut([headings, ...rows], width).slice(1);
  }
  const lines = table(headings, rows).split("\n");
  const text = lines.map((line, i) => {
    const health = rows[i - 1]?.at(-1);
    return health === undefined || health === "ok"
      ? line
      : line.slice(0, line.length - health.length) + ill(health);
  });
  return [...text, ...strays].join("\n");
}

function cellsOf(container: ListedContainer, id: string): string[] {
  return [
    id,
    networksText(container),
    container.networks.flatMap(({ addresses }) => addresses).join(" ") || "-",
    plain(container.ports.join(" ")) || "-",
    container.pid?.toString() ?? "-",
    age(container.since ? new Date(container.since) : undefined),
    plain(healthsOf(container).join("; ")),
  ];
}

/** All that is wrong, the worst first and each once; `ok` for nothing. */
function healthsOf({ health, causes }: ListedContainer): string[] {
  const problems = causes.filter(({ level }) => level === "problem").map(({ brief }) => brief);
  return [...new Set([health, ...problems])];
}

function networksText({ mode, networks }: ListedContainer): string {
  if (mode === "host") return "(the agent's network)";
  if (mode === "parent") return "(its parent's)";
  return networks.map(({ ifName, network }) => `${ifName}=${plain(network)}`).join(" ") || "-";
}

/** Beginnings that are still one container's each, which every command takes. */
export function shortIds(ids: readonly string[]): string[] {
  const sorted = ids.toSorted();
  const lengths = new Map(sorted.map((id, i) => {
    const shared = Math.max(common(id, sorted[i - 1] ?? ""), common(id, sorted[i + 1] ?? ""));
    return [id, Math.max(SHORTEST_ID, shared + 1)];
  }));
  return ids.map((id) => id.slice(0, lengths.get(id)));
}

/** How many letters two texts begin with alike. */
function common(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return length;
}

/** By how much columns of these widths, with gaps between, are wider than a terminal. */
function excessOf(widths: readonly number[], width: number): number {
  return widths.reduce((sum, one) => sum + one + GAP, -GAP) - width;
}

/** Cuts the widest columns first, so that the rows fit. */
function cut(rows: readonly string[][], width: number): string[][] {
  const widths = widthsOf(rows);
  for (let excess = excessOf(widths, width); excess > 0; excess--) {
    // A short id must stay whole.
    const widest = widths.slice(1).reduce((at, one, i) => one > widths[at]! ? i + 1 : at, 1);
    if (widths[widest]! <= LEAST) break;
    widths[widest]!--;
  }
  return rows.map((row) =>
    row.map((cell, i) => cell.length <= widths[i]! ? cell : `${cell.slice(0, widths[i]! - 1)}…`)
  );
}

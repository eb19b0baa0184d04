/**
 * A topology as a drawing: the agent at the left, what hangs on it to the right, a column for each
 * step. Boxes are as wide as their longest line, so that no id spills out of its box.
 */
import { plain } from "./table.ts";
import type { Topology, TopologyEdge, TopologyNode } from "./topology.ts";

/** Sizes in pixels; a character of the monospaced font is 0.6 of its size wide. */
const FONT = 12;
const LINE = 16;
const CHARACTER = FONT * 0.6;
const PADDING = 8;
const ROW_GAP = 18;
/** Room between two columns besides the labels of their edges. */
const COLUMN_GAP = 48;

interface Box {
  node: TopologyNode;
  lines: string[];
  column: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** In a light and in a dark surrounding; what is wrong has a red border. */
const STYLE = `
text { font: ${FONT}px ui-monospace, monospace; fill: #1b1f24; }
.edge path { fill: none; stroke: #8c959f; stroke-width: 1.5; }
.edge text { fill: #57606a; }
.node rect { fill: #f6f8fa; stroke: #8c959f; rx: 6px; }
.node.container rect { fill: #ddf4ff; stroke: #54aeff; }
.node.ill rect { fill: #ffebe9; stroke: #cf222e; stroke-width: 2; }
.node text:first-of-type { font-weight: bold; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; }
  text { fill: #e6edf3; }
  .edge text { fill: #9198a1; }
  .node rect { fill: #161b22; }
  .node.container rect { fill: #0c2d6b; }
  .node.ill rect { fill: #490202; stroke: #ff7b72; }
}`;

export function svgText({ nodes, edges }: Topology): string {
  const boxes = place(nodes, edges);
  const drawn = [...boxes.values()];
  const width = Math.max(...drawn.map(({ x, width }) => x + width)) + PADDING;
  const height = Math.max(...drawn.map(({ y, height }) => y + height)) + PADDING;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" role="img">`,
    `<style>${STYLE}\n</style>`,
    ...nodes.flatMap((node) => {
      const arriving = edgesTo(node, edges);
      return arriving.map((edge, i) => drawEdge(edge, boxes, (i + 0.5) / arriving.length));
    }),
    ...drawn.map(drawBox),
    "</svg>",
  ].join("\n");
}

/** A box for each node: its column by how far it is from the agent, its row in the tree's order. */
function place(nodes: readonly TopologyNode[], edges: readonly TopologyEdge[]): Map<string, Box> {
  const boxes = new Map<string, Box>();
  const columns = columnsOf(nodes, edges);
  for (const node of inTreeOrder(nodes, edges)) {
    const lines = [node.name, ...node.details].map(plain);
    boxes.set(node.id, {
      node,
      lines,
      column: columns.get(node.id)!,
      x: 0,
      y: 0,
      width: Math.ceil(Math.max(...lines.map(({ length }) => length)) * CHARACTER) + 2 * PADDING,
      height: Math.max(lines.length, 1.25 * edgesTo(node, edges).length) * LINE + 2 * PADDING,
    });
  }
  placeColumns([...boxes.values()], edges);
  return boxes;
}

function edgesTo({ id }: TopologyNode, edges: readonly TopologyEdge[]): TopologyEdge[] {
  return edges.filter(({ to }) => to === id);
}

/** How many edges lead to a node from the agent, by the longest way. */
function columnsOf(
  nodes: readonly TopologyNode[],
  edges: readonly TopologyEdge[],
): Map<string, number> {
  const columns = new Map(nodes.map(({ id }, i) => [id, i === 0 ? 0 : 1]));
  // A bridge in a bridge in a bridge …: each round moves what hangs on another one further.
  for (let round = 0; round < nodes.length; round++) {
    let moved = false;
    for (const { from, to } of edges) {
      const column = columns.get(from)! + 1;
      if (column <= columns.get(to)! || column > nodes.length) continue;
      columns.set(to, column);
      moved = true;
    }
    if (!moved) break;
  }
  return columns;
}

/** Depth first from the agent, so that what hangs together stands together. */
function inTreeOrder(
  nodes: readonly TopologyNode[],
  edges: readonly TopologyEdge[],
): Set<TopologyNode> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const order = new Set<TopologyNode>();
  const visit = (node: TopologyNode) => {
    if (order.has(node)) return;
    order.add(node);
    for (const { from, to } of edges) if (from === node.id) visit(byId.get(to)!);
  };
  nodes.forEach(visit);
  return order;
}

function placeColumns(boxes: readonly Box[], edges: readonly TopologyEdge[]): void {
  const count = Math.max(...boxes.map(({ column }) => column)) + 1;
  const byId = new Map(boxes.map((box) => [box.node.id, box]));
  let x = PADDING;
  for (let column = 0; column < count; column++) {
    const own = boxes.filter((box) => box.column === column);
    let y = PADDING;
    for (const box of own) {
      box.x = x;
      box.y = y;
      y += box.height + ROW_GAP;
    }
    const labels = edges.filter(({ to }) => byId.get(to)?.column === column + 1)
      .map(({ label }) => plain(label).length * CHARACTER);
    x += Math.max(0, ...own.map(({ width }) => width)) + COLUMN_GAP + Math.max(0, ...labels);
  }
}

/** @param height where it arrives, from 0 at the top of the box to 1 */
function drawEdge(
  { from, to, label }: TopologyEdge,
  boxes: ReadonlyMap<string, Box>,
  height: number,
): string {
  const [a, b] = [boxes.get(from)!, boxes.get(to)!];
  const [x1, y1] = [a.x + a.width, a.y + a.height / 2];
  const [x2, y2] = [b.x, b.y + b.height * height];
  const bend = x1 + COLUMN_GAP / 2;
  // Straight for the length of its label, which stands above the line.
  const path = `M${x1},${y1} C${bend},${y1} ${x1},${y2} ${bend},${y2} L${x2},${y2}`;
  const text = label === ""
    ? ""
    : `<text x="${x2 - 6}" y="${y2 - 4}" text-anchor="end">${escaped(plain(label))}</text>`;
  return `<g class="edge"><path d="${path}"/>${text}</g>`;
}

function drawBox({ node, lines, x, y, width, height }: Box): string {
  const texts = lines.map((line, i) =>
    `<text x="${x + PADDING}" y="${y + PADDING + (i + 0.75) * LINE}">${escaped(line)}</text>`
  );
  const ill = node.isIll ? " ill" : "";
  return `<g class="node ${node.kind}${ill}"><rect x="${x}" y="${y}" width="${width}" ` +
    `height="${height}"/>${texts.join("")}</g>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

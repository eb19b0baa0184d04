/** A topology as text: a tree, or a drawing's source in Mermaid or DOT. */
import { plain } from "./table.ts";
import type { Topology, TopologyNode } from "./topology.ts";

/** A tree from the agent down; a container on two networks hangs on both, with each one's ports. */
export function treeText({ nodes, edges }: Topology): string {
  const others = new Set(
    edges.flatMap(({ to, details }) => details?.map((d) => `${to} ${d}`) ?? []),
  );
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const lines: string[] = [];
  const walk = (id: string, prefix: string) => {
    const children = edges.filter(({ from }) => from === id);
    children.forEach(({ to, label, details }, i) => {
      const last = i === children.length - 1;
      const node = byId.get(to)!;
      const common = node.details.filter((detail) => !others.has(`${to} ${detail}`));
      const words = [node.name, ...label ? [label] : [], ...details ?? [], ...common];
      lines.push(`${prefix}${last ? "└─ " : "├─ "}${plain(words.join("  "))}`);
      walk(to, prefix + (last ? "   " : "│  "));
    });
  };
  const [agent] = nodes;
  lines.push(plain(agent!.name));
  walk(agent!.id, "");
  // What hangs on nothing, such as a container whose namespace is gone.
  const reached = new Set([agent!.id, ...edges.map(({ to }) => to)]);
  for (const node of nodes.filter(({ id }) => !reached.has(id))) {
    lines.push(plain([node.name, ...node.details].join("  ")));
  }
  return lines.join("\n");
}

/** For Markdown and https://mermaid.live: a flowchart. */
export function mermaidText({ nodes, edges }: Topology): string {
  const names = idsOf(nodes);
  return [
    "flowchart LR",
    ...nodes.map((node) => {
      const [open, close] = { agent: ["[[", "]]"], link: ["[", "]"], container: ["(", ")"] }[
        node.kind
      ] as [string, string];
      const text = `${open}"${htmlText(linesOf(node).join("\n"))}"${close}`;
      return `  ${names.get(node.id)}${text}${node.isIll ? ":::ill" : ""}`;
    }),
    ...edges.map(({ from, to, label }) =>
      `  ${names.get(from)} ---${label ? `|"${htmlText(label)}"|` : ""} ${names.get(to)}`
    ),
    "  classDef ill stroke:#cf222e,stroke-width:2px",
  ].join("\n");
}

/** For Graphviz. */
export function dotText({ nodes, edges }: Topology): string {
  const names = idsOf(nodes);
  const shapes = { agent: "box3d", link: "box", container: "component" };
  return [
    "graph topology {",
    "  rankdir=LR;",
    '  node [fontname="Helvetica", fontsize=11];',
    '  edge [fontname="Helvetica", fontsize=9];',
    ...nodes.map((node) =>
      `  ${names.get(node.id)} [shape=${shapes[node.kind]}, ${
        node.isIll ? 'color="#cf222e", ' : ""
      }label=${quoted(linesOf(node).join("\n"))}];`
    ),
    ...edges.map(({ from, to, label }) =>
      `  ${names.get(from)} -- ${names.get(to)}${label ? ` [label=${quoted(label)}]` : ""};`
    ),
    "}",
  ].join("\n");
}

/** Names of our own, since those of networks and containers may mean something in the syntax. */
function idsOf(nodes: readonly TopologyNode[]): Map<string, string> {
  return new Map(nodes.map(({ id }, i) => [id, `n${i}`]));
}

function linesOf({ name, details }: TopologyNode): string[] {
  return [name, ...details].map(plain);
}

function quoted(text: string): string {
  return `"${plain(text).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

function htmlText(text: string): string {
  return plain(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;").replaceAll("\n", "<br/>");
}

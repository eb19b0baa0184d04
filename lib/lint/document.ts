/** A network config as its readers see it: the network, its plugins, and plugins inside plugins. */
import type { Node } from "jsonc-parser";
import type { Source } from "./source.ts";
import { field, isObject, isTrue, items, property, text } from "./tree.ts";

export const PORT_MAPPER = "mesos-cni-port-mapper";

/** Where a plugin's config stands. */
export type Role =
  /** the whole file */
  | "single"
  /** in `plugins` */
  | "listed"
  /** in `delegate` of the port mapper: complete but for what the port mapper puts in */
  | "delegate"
  /** in `delegate` of flannel: only what the operator wants otherwise than flannel does */
  | "partial"
  /** in `delegates` of multus: a network of its own */
  | "network";

export class PluginNode {
  readonly type: string | undefined;
  readonly ipam: Node | undefined;
  readonly ipamType: string | undefined;

  constructor(
    readonly document: Document,
    readonly node: Node,
    readonly role: Role,
    /** Place among its siblings, from 0. */
    readonly index: number,
    /** The plugin that executes this one. */
    readonly outer?: PluginNode,
  ) {
    this.type = text(property(node, "type"));
    this.ipam = field(node, "ipam");
    this.ipamType = text(field(this.ipam, "type"));
  }

  /** A field of the plugin, as the plugin finds it. */
  field(name: string): Node | undefined {
    return field(this.node, name);
  }

  text(name: string): string | undefined {
    return text(this.field(name));
  }

  isTrue(name: string): boolean {
    return isTrue(this.field(name));
  }

  /** The value of its own "type", exactly spelled. */
  get typeNode(): Node | undefined {
    return property(this.node, "type");
  }

  /** The types that its config names, its own and its IPAM plugin's, each with where. */
  get types(): [type: string, at: Node][] {
    return [this.typeNode, field(this.ipam, "type")].flatMap((at): [string, Node][] => {
      const type = text(at);
      return at && type ? [[type, at]] : [];
    });
  }

  /** The key with its value, or the whole config if it has no such key: a place to point at. */
  place(name: string): Node {
    return this.field(name) ?? this.typeNode ?? this.node;
  }

  /** Whether its bridge gets the gateway's address. */
  get isGateway(): boolean {
    return this.isTrue("isGateway") || this.isTrue("isDefaultGateway");
  }

  /** Whether it works on what plugins before it made: not the first of a list. */
  get isChained(): boolean {
    return this.role === "listed" && this.index > 0;
  }
}

export class Document {
  readonly name: string | undefined;
  readonly kind: "conf" | "conflist";
  /** The plugins, outer before inner; at most {@link MOST_PLUGINS}. */
  readonly plugins: readonly PluginNode[];
  /** How many there are, also of those that `plugins` leaves out. */
  readonly pluginCount: number;

  constructor(readonly source: Source, readonly root: Node) {
    this.name = text(property(root, "name"));
    const list = property(root, "plugins");
    this.kind = list ? "conflist" : "conf";
    const top = list
      ? items(list).filter(isObject).map((node, i) => new PluginNode(this, node, "listed", i))
      : [new PluginNode(this, root, "single", 0)];
    const all = top.flatMap((plugin) => withInner(plugin, 0));
    this.plugins = all.slice(0, MOST_PLUGINS);
    this.pluginCount = all.length;
  }

  /** The text of `cniVersion`, which of a list the runtime reads, else the plugin. */
  get version(): string | undefined {
    return text((this.kind === "conflist" ? property : field)(this.root, "cniVersion"));
  }
}

/** Whether a file is a Kubernetes object, which has a network config in it at most. */
export function isManifest({ root }: Source): boolean {
  return text(property(root, "apiVersion")) !== undefined &&
    text(property(root, "kind")) !== undefined && !property(root, "type") &&
    !property(root, "plugins");
}

/** The network in a file, if there is an object in it. */
export function documentOf(source: Source): Document | undefined {
  return isObject(source.root) && !isManifest(source)
    ? new Document(source, source.root)
    : undefined;
}

/** Only the first plugins of a longer list are looked at; CNI009 reports that. */
export const MOST_PLUGINS = 200;

/** Delegates of delegates are looked at twice; the port mapper refuses itself, multus nests once. */
const MOST_INNER = 2;

function withInner(plugin: PluginNode, depth: number): PluginNode[] {
  const inner = depth < MOST_INNER ? innerOf(plugin) : [];
  return [plugin, ...inner.flatMap((plugin) => withInner(plugin, depth + 1))];
}

function innerOf(plugin: PluginNode): PluginNode[] {
  const make = (node: Node, role: Role, index = 0) =>
    new PluginNode(plugin.document, node, role, index, plugin);
  const delegate = field(plugin.node, "delegate");
  switch (plugin.type) {
    case PORT_MAPPER:
      return isObject(delegate) ? [make(delegate, "delegate")] : [];
    case "flannel":
      return isObject(delegate) ? [make(delegate, "partial")] : [];
    case "multus":
      return items(field(plugin.node, "delegates")).filter(isObject).flatMap((network) => {
        const list = field(network, "plugins");
        return list
          ? items(list).filter(isObject).map((node, i) => make(node, "listed", i))
          : [make(network, "network")];
      });
    default:
      return [];
  }
}

/** CNI7xx: Calico, flannel, multus and others of their kind. */
import type { PluginNode } from "../document.ts";
import { replacing } from "../edits.ts";
import type { Found, WrittenRule } from "../rule.ts";
import { field, keyNode, quote, text } from "../tree.ts";
import { calico, network } from "./example.ts";

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export const THIRD_PARTIES: readonly WrittenRule[] = [
  {
    code: "CNI703",
    name: "unprotected-etcd",
    severity: "warning",
    title: "etcd is spoken to in clear text, or whoever answers is trusted",
    why:
      "Whoever can listen on the way or write to that etcd decides on the networks and policies of all " +
      "containers. TLS needs https in etcd_endpoints and etcd_ca_cert_file: without that, only servers with " +
      "a certificate of a public authority are trusted, which an etcd cluster hardly has. A client " +
      "certificate needs its key, and the other way round.",
    bad: calico({ etcd_endpoints: "http://10.0.0.1:2379" }),
    good: calico(),
    *ofPlugin(plugin) {
      const urls = endpoints(plugin);
      const clear = urls.find((url) => {
        const host = /^http:\/\/(\[[^\]]*\]|[^:/\s]+)/.exec(url)?.[1];
        return host !== undefined && !LOOPBACK.test(host);
      });
      if (clear) {
        yield {
          at: plugin.field("etcd_endpoints"),
          message: `Calico speaks to etcd at ${quote(clear)} in clear text`,
          help: 'use https and "etcd_ca_cert_file", "etcd_cert_file", "etcd_key_file"',
        };
      }
      if (urls.some((url) => url.startsWith("https:")) && !plugin.text("etcd_ca_cert_file")) {
        yield {
          at: plugin.field("etcd_endpoints"),
          message: 'etcd is spoken to by https without "etcd_ca_cert_file"',
          help: 'add "etcd_ca_cert_file", the certificate that etcd\'s own are signed with',
        };
      }
      const pair = ["etcd_cert_file", "etcd_key_file"];
      const [there, missing] = text(plugin.field(pair[0]!)) ? pair : [...pair].reverse();
      if (plugin.type === "calico" && plugin.text(there!) && !plugin.text(missing!)) {
        yield {
          at: plugin.field(there!),
          message: `"${there}" has no use without "${missing}"`,
          help: `add "${missing}"`,
        };
      }
    },
  },
  {
    code: "CNI705",
    name: "foreign-ipam",
    severity: "warning",
    title: "the IPAM plugin belongs to another network plugin",
    why:
      "calico-ipam records addresses for Calico's endpoints, and nothing but Calico routes them.",
    bad: network({ type: "bridge", bridge: "cni0", ipam: { type: "calico-ipam" } }),
    good: calico(),
    *ofPlugin(plugin) {
      if (plugin.ipamType !== "calico-ipam" || !plugin.type || /calico|canal/.test(plugin.type)) {
        return;
      }
      yield {
        at: field(plugin.ipam, "type"),
        message: `calico-ipam belongs to calico, not to ${plugin.type}`,
        help: 'use "type": "calico", or host-local for addresses',
      };
    },
  },
  {
    code: "CNI708",
    name: "needs-kubernetes",
    severity: "info",
    title: "the config counts on Kubernetes",
    why:
      "The plugin asks the Kubernetes API about a pod that Mesos knows nothing of. On an agent without " +
      "Kubernetes such a network fails or does without its policies.",
    bad: calico({ policy: { type: "k8s" }, kubernetes: { kubeconfig: "/etc/kubeconfig" } }),
    good: calico(),
    *ofPlugin(plugin, { reader }) {
      const at = reader === "libcni" ? undefined : kubernetes(plugin);
      if (!at) return;
      yield {
        at,
        message: `this part of ${plugin.type}'s config counts on Kubernetes, not on Mesos`,
        help: "leave it out on an agent that is no Kubernetes node",
      };
    },
  },
  {
    code: "CNI709",
    name: "whereabouts-range",
    title: "whereabouts has no range to take addresses from",
    why:
      'What others call a subnet, whereabouts calls "range", or several of them "ipRanges". Without ' +
      'them it fails, unless a file named by "configuration_path" has them.',
    bad: macvlan({ subnet: "10.1.0.0/16" }),
    good: macvlan({ range: "10.1.0.0/16" }),
    fix: "unsafe",
    ofAbsence: true,
    *ofPlugin({ ipam, ipamType }) {
      if (ipamType !== "whereabouts") return;
      if (["range", "ipRanges", "configuration_path"].some((key) => field(ipam, key))) return;
      const subnet = keyNode(ipam, "subnet");
      yield {
        at: subnet ?? field(ipam, "type"),
        message: "whereabouts has no range to take addresses from",
        help: subnet ? 'write "range" in place of "subnet"' : 'add "range": "10.1.0.0/16"',
        fix: subnet && replacing(subnet, "range", 'rename "subnet" to "range"', "unsafe"),
      };
    },
  },
];

function macvlan(ipam: Record<string, unknown>): string {
  return network({ type: "macvlan", master: "eth0", ipam: { type: "whereabouts", ...ipam } });
}

function endpoints(plugin: PluginNode): string[] {
  const list = plugin.type === "calico" ? plugin.text("etcd_endpoints") : undefined;
  return list ? list.split(",").map((url) => url.trim()) : [];
}

function kubernetes(plugin: PluginNode): Found["at"] {
  if (plugin.type === "multus") return plugin.place("kubeconfig");
  const chain = plugin.type === "portmap" ? plugin.field("externalSetMarkChain") : undefined;
  if (text(chain)?.startsWith("KUBE-")) return chain;
  if (plugin.type !== "calico") return undefined;
  if (text(field(plugin.field("policy"), "type")) === "k8s") return plugin.field("policy");
  if (plugin.text("datastore_type") === "kubernetes") return plugin.field("datastore_type");
  return plugin.field("kubernetes");
}

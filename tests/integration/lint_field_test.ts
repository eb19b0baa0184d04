/**
 * What the linter says of single fields, on the real plugins: what it calls an error is refused by
 * Debian's, by the newest of the reference and by ours, and what it lets pass is taken. Where they
 * differ, it says for which.
 */
import { assertEquals } from "@std/assert";
import { lint } from "../../lib/lint/lint.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source } from "../../lib/lint/source.ts";
import { EVERYBODY, isHere, type Who, withPlugins } from "../fixtures/lint/plugins.ts";

type Fields = Record<string, unknown>;

const ROUTES = [{ dst: "0.0.0.0/0" }];
const IPAM = { type: "host-local", subnet: "10.1.0.0/16", routes: ROUTES };
const net = (fields: Fields) => ({ cniVersion: "0.4.0", name: "net", ...fields });
const bridge = (ipam: Fields = {}, more: Fields = {}) =>
  net({ type: "bridge", bridge: "cni0", isGateway: true, ipam: { ...IPAM, ...ipam }, ...more });
const fixed = (addresses: Fields[], more: Fields = {}) => ({
  ...{ type: "static", subnet: undefined, addresses, routes: ROUTES, ...more },
});
const chain = (first: Fields, ...others: Fields[]) => {
  const { cniVersion, name, ...plugin } = first;
  return { cniVersion, name, plugins: [plugin, ...others] };
};
const macvlan = net({ type: "macvlan", master: "eth0", ipam: IPAM });
const rates = {
  type: "bandwidth",
  ...{ ingressRate: 8e6, ingressBurst: 8e4, egressRate: 8e6, egressBurst: 8e4 },
};
const portmap = { type: "portmap", capabilities: { portMappings: true } };
const asked = (ips: unknown, ipam: Fields = {}) => bridge(ipam, { args: { cni: { ips } } });

/** With the code of an error, that all refuse. */
const REFUSED: [code: string, what: string, config: Fields][] = [
  ["CNI419", "addresses asked for as a string", asked("10.1.0.5")],
  ["CNI419", "an address asked for outside the range", asked(["10.9.0.5"])],
  ["CNI419", "one asked of static without its length", asked(["10.1.0.5"], fixed([]))],
  [
    "CNI303",
    "two gateways for one bridge",
    bridge(fixed([
      { address: "10.1.0.5/16", gateway: "10.1.0.1" },
      { address: "10.2.0.5/16", gateway: "10.2.0.1" },
    ])),
  ],
  ["CNI514", "bandwidth twice", chain(bridge(), rates, rates)],
  ["CNI514", "bandwidth on macvlan", chain(macvlan, rates)],
  [
    "CNI503",
    "a condition in one word",
    chain(bridge(), { ...portmap, conditionsV4: ["-s 10.0.0.0/8"] }),
  ],
  [
    "CNI508",
    "an MTU below that of IPv6",
    bridge({ subnet: "fd00:1::/64", routes: [{ dst: "::/0" }] }, { mtu: 1200 }),
  ],
  [
    "CNI504",
    "ptp without a gateway",
    net({ type: "ptp", ipam: fixed([{ address: "10.1.0.5/16" }]) }),
  ],
  ["CNI404", "host-local without a subnet", bridge({ subnet: undefined })],
];

/** Without an error, that all take but those named. */
const TAKEN: [what: string, config: Fields, refusedBy?: Who[]][] = [
  ["an address that is asked for", asked(["10.1.0.5"])],
  ["a next hop of 0.0.0.0", bridge({ routes: [{ dst: "0.0.0.0/0", gw: "0.0.0.0" }] })],
  ["bandwidth once", chain(bridge(), rates)],
  ["bandwidth of a few bits", chain(bridge(), { ...rates, ingressRate: 100, ingressBurst: 100 })],
  [
    "an MTU that is enough",
    bridge({ subnet: "fd00:1::/64", routes: [{ dst: "::/0" }] }, { mtu: 1280 }),
  ],
  ["a condition in two words", chain(bridge(), { ...portmap, conditionsV4: ["-s", "10.0.0.0/8"] })],
  [
    "a match that only iptables knows",
    chain(bridge(), { ...portmap, conditionsV4: ["-m", "mark", "--mark", "1"] }),
  ],
  [
    "a gateway outside, that no route uses",
    net({ type: "ptp", ipam: { ...IPAM, gateway: "169.254.1.1", routes: [] } }),
    ["newest", "ours"],
  ],
];

function errorsIn(config: Fields): string[] {
  const path = "plugins" in config ? "net.conflist" : "net.conf";
  const content = new TextEncoder().encode(JSON.stringify(config, null, 2));
  return lint([new Source({ path, content })], new Settings(), { reader: "isolator" })
    .filter(({ severity }) => severity === "error").map(({ code }) => code);
}

for (const who of EVERYBODY) {
  Deno.test(
    `single fields do on the real plugins (${who}) what the linter says`,
    { ignore: !isHere(who) },
    (t) =>
      withPlugins(who, async (attach) => {
        for (const [code, what, config] of REFUSED) {
          await t.step(`refused: ${what}`, async () => {
            assertEquals(errorsIn(config), [code]);
            assertEquals(await attach(JSON.stringify(config)) === null, false);
          });
        }
        for (const [what, config, refusedBy = []] of TAKEN) {
          await t.step(`taken: ${what}`, async () => {
            assertEquals(errorsIn(config), []);
            const answer = await attach(JSON.stringify(config));
            assertEquals(answer === null, !refusedBy.includes(who), answer ?? "");
          });
        }
      }),
  );
}

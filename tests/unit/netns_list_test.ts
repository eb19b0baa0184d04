import { assert, assertEquals } from "@std/assert";
import { list } from "../../lib/cli/netns_look.ts";
import { Layout } from "../../lib/containers/layout.ts";
import type { ListedContainer } from "../../lib/netns/list.ts";
import { FILTER_KEYS, listText, ORDER_KEYS, select, shortIds } from "../../lib/netns/list_text.ts";

function listed(id: string, more: Partial<ListedContainer> = {}): ListedContainer {
  return {
    id,
    mode: "own",
    keeper: "agent",
    networks: [{ network: "web", ifName: "eth0", state: "attached", addresses: ["10.1.0.2/16"] }],
    ports: [],
    health: "ok",
    causes: [],
    ...more,
  };
}

const UUIDS = [
  "5baff64c-d028-47ba-864e-a5ee679fc069",
  "5baff64c-d028-47ba-8ff6-a5ee679fc069",
  "9f1c2a77-0000-4000-8000-000000000001",
];
const nowhere = new Layout("/nonexistent");
const plainStyle = { ill: (text: string) => `!${text}!` };

Deno.test("the keys of --filter and --sort are those of the list", () => {
  const flag = (name: string) => list.flags.find((flag) => flag.name === name)!;
  for (const key of FILTER_KEYS) assert(flag("filter").help.includes(key), key);
  assertEquals(flag("sort").complete, ORDER_KEYS);
});

Deno.test("filters are all met, by beginnings; health is also ok or ill", () => {
  const all = [
    listed("a", { health: "eth0 down" }),
    listed("b", { ports: ["8080:80/tcp"] }),
    listed("c", { networks: [] }),
  ];
  const ids = (...filters: [string, string][]) => select(all, filters, "id").map(({ id }) => id);
  assertEquals(ids(), ["a", "b", "c"]);
  assertEquals(ids(["health", "ill"]), ["a"]);
  assertEquals(ids(["network", "we"]), ["a", "b"]);
  assertEquals(ids(["network", "web"], ["health", "ok"]), ["b"]);
  assertEquals(ids(["port", "8080"]), ["b"]);
  assertEquals(ids(["address", "10.9."]), []);
});

Deno.test("sorted by age the youngest is first, by health those that are ill", () => {
  const all = [
    listed("old", { since: "2026-01-01T00:00:00Z" }),
    listed("young", { since: "2026-01-02T00:00:00Z", health: "lo down" }),
  ];
  assertEquals(select(all, [], "age").map(({ id }) => id), ["young", "old"]);
  assertEquals(select(all, [], "health").map(({ id }) => id), ["young", "old"]);
  assertEquals(select(all, [], "id").map(({ id }) => id), ["old", "young"]);
});

Deno.test("short ids are the beginnings that are one container's alone", () => {
  assertEquals(shortIds(UUIDS), ["5baff64c-d028-47ba-86", "5baff64c-d028-47ba-8f", "9f1c2a77"]);
  assertEquals(shortIds(["web-1"]), ["web-1"]);
});

Deno.test("a list fits its terminal, and is whole where there is none", () => {
  const networks = ["storage-network", "backend-network", "frontend-network"].map((network, i) => ({
    network,
    ifName: `eth${i}`,
    state: "attached",
    addresses: [`10.${i}.0.2/16`],
  }));
  const all = UUIDS.map((id) => listed(id, { networks, health: "eth0 down" }));
  const whole = listText(nowhere, all, plainStyle);
  for (const id of UUIDS) assert(whole.includes(id));
  assert(whole.includes("eth2=frontend-network"));
  for (const width of [80, 120]) {
    const text = listText(nowhere, all, { ...plainStyle, width });
    for (const line of text.split("\n")) {
      assert(line.replaceAll("!", "").length <= width, `${width}: ${line}`);
    }
    assert(text.includes("!eth0 down!"), text);
    assert(/^9f1c2a77 /m.test(text), text);
  }
});

Deno.test("all that is wrong with a container is listed with what it is about, each once, and found by any of it", () => {
  const problem = (brief: string) => ({
    code: "interface_down",
    level: "problem",
    brief,
    text: "",
  });
  const [first, second] = ["interface down: eth0", "interface down: eth1"];
  const hint = { ...problem("resolv conf differs"), level: "hint" };
  const ill = listed("ill", {
    health: first,
    causes: [...[first, second, second].map(problem), hint],
  });
  const worse = listed("worse", { health: first, causes: [first, "masquerade gone"].map(problem) });
  const [, line] = listText(nowhere, [ill], plainStyle).split("\n");
  assert(line!.endsWith(`!${first}; ${second}!`), line);
  const found = (wanted: string) =>
    select([ill, worse, listed("well")], [["health", wanted]], "id").map(({ id }) => id);
  assertEquals(found(second), ["ill"]);
  assertEquals(found("masquerade"), ["worse"]);
  assertEquals(found("ill"), ["ill", "worse"]);
  assertEquals(found("ok"), ["well"]);
  assertEquals(select([listed("well"), worse, ill], [], "health"), [ill, worse, listed("well")]);
});

/** Fixes: which are made without being asked for, and what none of them does. */
import { assert, assertEquals } from "@std/assert";
import { lint } from "../../lib/lint/lint.ts";
import { mend } from "../../lib/lint/mend.ts";
import { SAFETIES, type Safety } from "../../lib/lint/rule.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source } from "../../lib/lint/source.ts";
import { breakages, realConfigs, textOf } from "../fixtures/lint/corpus.ts";
import { BASES, mutate } from "../fixtures/lint/mutations.ts";
import { randomFrom } from "../harness/random.ts";

const check = (sources: readonly Source[]) => lint(sources, new Settings());

function mended(text: string, safeties: readonly Safety[], name = "net.conf"): string {
  const source = new Source({ path: name, content: new TextEncoder().encode(text) });
  return mend([source], check, safeties).repairs[0]?.text ?? text;
}

/** The values of all keys "type", in the order of the text. */
function typesIn(text: string): string[] {
  return [...text.matchAll(/"type"\s*:\s*("[^"]*")/g)].map((match) => match[1]!);
}

Deno.test("no fix, safe or not, changes a type, in the corpora and in mutations of valid configs", () => {
  const random = randomFrom(30);
  const texts = [
    ...realConfigs().map(textOf),
    ...breakages().map(({ text }) => text),
    ...Array.from(
      { length: 1000 },
      (_, i) => JSON.stringify(mutate(BASES[i % BASES.length]!, random).config, null, 2),
    ),
    // Plugins that are in use, and that are named nearly as one that is known here.
    ...["router", "ovn", "gre", "eni-ipam", "rdma-cni", "azure-cni", "brigde", "Calico"]
      .map((type) => JSON.stringify({ name: "net", type, ipam: { type: `${type}-ipam` } })),
  ];
  let changed = 0;
  for (const text of texts) {
    const after = mended(text, SAFETIES);
    if (after !== text) changed += 1;
    // A key that was to be "type" may become it; what stood there stays.
    const left = typesIn(after);
    for (const type of typesIn(text)) {
      const at = left.indexOf(type);
      assert(at >= 0, `${type} went:\n${text}\n${after}`);
      left.splice(at, 1);
    }
  }
  assert(changed > 500, `${changed}`);
});

Deno.test("what is not known in full is not touched without being asked", () => {
  const calico = '{"cniVersion": "0.3.1", "name": "n", "type": "calico", "mtu": "1500"}';
  assertEquals(mended(calico, ["safe"]), calico);
  assertEquals(mended(calico, SAFETIES), calico.replace('"1500"', "1500"));
  const unheard = '{"name": "n", "type": "acme", "isGatway": true}';
  assertEquals(mended(unheard, SAFETIES), unheard);
  const words = '{"cniVersion": "1.0.0", "name": "n", "type": "bridge", "hairpin": true}';
  assertEquals(mended(words, ["safe"]), words);
  assertEquals(mended(words, SAFETIES), words.replace("hairpin", "hairpinMode"));
  const noNetwork = '{"name": "package", "version": "1.0.0"}';
  assertEquals(mended(noNetwork, SAFETIES), noNetwork);
});

Deno.test("a fix that would bring an error is not made, and those beside it are", () => {
  const text = '{"cniVersion": "1.0.0", "name": "n", "type": "bridge", "hairpinMode": true, ' +
    '"promiscMod": true, "IsGateway": true, "ipam": {"type": "host-local", "subnet": ' +
    '"10.1.0.0/16", "routes": [{"dst": "0.0.0.0/0"}]}}';
  assertEquals(mended(text, ["safe"]), text.replace("IsGateway", "isGateway"));
});

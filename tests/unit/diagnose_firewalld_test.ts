import { assertEquals, assertMatch } from "@std/assert";
import { firewalldRemedy } from "../../lib/diagnose/readers/agent_firewall.ts";

Deno.test("a zone of firewalld is left, instead of a rule deleted that a reload brings back", () => {
  for (
    const [table, chain] of [["firewalld", "filter_FWD_public"], ["filter", "IN_public"]] as const
  ) {
    assertMatch(
      firewalldRemedy({ table, chain }, "web0")!,
      /zone public.* firewall-cmd --zone=trusted --change-interface=web0 && firewall-cmd --permanent /,
    );
  }
  for (
    const [table, chain] of [["filter", "FORWARD"], ["mine", "filter_IN_public"], [
      "filter",
      "CNI-FORWARD",
    ]] as const
  ) {
    assertEquals(firewalldRemedy({ table, chain }, "web0"), undefined);
  }
});

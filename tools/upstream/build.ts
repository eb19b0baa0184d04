/** Builds the reference's suites, for runs in namespaces without a network. Usage: build.ts REFERENCE */
import { buildSuites } from "./reference.ts";

await buildSuites(Deno.args[0]!);

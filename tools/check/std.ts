/**
 * Holds `@std` against what this project takes it for. `deno check` does it all: where JSR answers
 * these are the real modules, elsewhere our own of tools/closed_network.
 */
import * as assert from "@std/assert";
import * as path from "@std/path";
import type { Assert, Path } from "../closed_network/signatures.ts";

assert satisfies Assert;
path satisfies Path;

/**
 * Holds `@std` against what this project takes it for. `deno check` does it all: where JSR answers
 * these are the real modules, elsewhere our own of tools/closed_network.
 */
import * as assert from "@std/assert";
import * as cli from "@std/cli";
import * as path from "@std/path";
import type { Assert, Cli, Path } from "../closed_network/signatures.ts";

assert satisfies Assert;
cli satisfies Cli;
path satisfies Path;

/**
 * Holds `@std` against what this project takes it for, which is what our own modules are: these promise
 * never more than is true of the real ones. `deno check` does it all, where JSR answers.
 */
import * as assert from "@std/assert";
import * as cli from "@std/cli";
import * as path from "@std/path";
import type * as ownAssert from "../closed_network/assert.ts";
import type * as ownCli from "../closed_network/cli.ts";
import type * as ownPath from "../closed_network/path.ts";

assert satisfies typeof ownAssert;
cli satisfies typeof ownCli;
path satisfies typeof ownPath;

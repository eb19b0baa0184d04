/** What a run is made for, which decides what of long tests it does: the same each time. */

/** The commit's hash; zeros where there is no checkout of git, as in an unpacked archive. */
export const COMMIT: string = (() => {
  const none = "0".repeat(40);
  try {
    const { success, stdout } = new Deno.Command("git", {
      // The checkout may be another user's: this reads a hash, and runs nothing of it.
      args: ["-c", "safe.directory=*", "rev-parse", "HEAD"],
      cwd: new URL(".", import.meta.url),
      stderr: "null",
    }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : none;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return none; // no git
    throw error;
  }
})();

/** For moments and samples: `MESOS_CNI_TEST_SEED`, or the commit's. */
export const SEED: number = Number(
  Deno.env.get("MESOS_CNI_TEST_SEED") ?? parseInt(COMMIT.slice(0, 8), 16) % 100_000,
);

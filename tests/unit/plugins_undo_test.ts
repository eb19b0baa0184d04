/** What the error of an ADD says of what could not be undone. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { OperatorError } from "../../lib/base/error.ts";
import { CniError } from "../../lib/cni/error.ts";
import { undoingOnFailure } from "../../plugins/shared/undo.ts";

/** An ADD that fails, and can't be undone. */
const failing = (error: Error) =>
  undoingOnFailure((undo) => {
    undo(() => {
      throw new OperatorError("file", "no room");
    });
    throw error;
  });

Deno.test("an operator's error says what is not undone, and a defect stays itself", async () => {
  for (const error of [new OperatorError("file", "wrong"), new CniError(999, "wrong")]) {
    const { cniCode, message, details } = await assertRejects(() => failing(error), CniError);
    assertEquals([cniCode, message, details], [999, "wrong", "not undone: no room"]);
  }
  const defect = new TypeError("undefined is no function");
  assert(await assertRejects(() => failing(defect), TypeError) === defect);
});

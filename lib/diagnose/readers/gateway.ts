/** Somebody else answers for the gateway. */
import { wrongGateways } from "./neighbour.ts";
import type { Reader } from "./reader.ts";

export const otherGateway: Reader = {
  name: "who answers for the gateway",
  applies: ({ question, failure }) =>
    question.topic === "gateway" && failure.kind === "others_have" && failure.wanted === undefined,
  read: (e) => wrongGateways(e),
};

/** Specs that ours need not pass, each with its reason and the sentence of docs/plugins.md. */
import exceptions from "./exceptions.json" with { type: "json" };

export interface Exception {
  suite: string;
  reason: string;
  /** A sentence of docs/plugins.md, as it stands there but for its line breaks. */
  documented: string;
  specs: string[];
}

export const EXCEPTIONS: readonly Exception[] = exceptions;

/** What is wrong with the list by itself. */
export function faultsOf(list: readonly Exception[], document: string): string[] {
  const words = document.replace(/\s+/g, " ");
  const names = list.flatMap(({ suite, specs }) => specs.map((spec) => `${suite}: ${spec}`));
  return [
    ...list.filter(({ documented }) => documented.length < 20 || !words.includes(documented))
      .map(({ documented }) => `docs/plugins.md does not say: ${documented}`),
    ...names.filter((name, i) => names.indexOf(name) !== i).map((name) => `named twice: ${name}`),
  ];
}

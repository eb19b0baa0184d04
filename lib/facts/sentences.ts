/** Causes, proofs and commands as text. */
import type { Cause, Fix, Proof } from "./cause.ts";
import { wordsOf } from "./words.ts";

/** One sentence that names the cause. */
export function textOf(about: Cause): string {
  return wordsOf(about.code, about)[0]!;
}

/** What to do about it: one line to paste, or what to look at where no command mends it. */
export function remedyOf(about: Cause): string {
  return about.fix ? commandsText(about.fix) : wordsOf(about.code, about)[1] ?? "";
}

/** What is to be known of the commands of a remedy, if there are any. */
export function adviceOf({ fix, ...about }: Cause): string | undefined {
  return fix && wordsOf(about.code, about)[1];
}

/** In a few words, for a column: `address lost: eth0 10.1.0.2/16`. */
export function briefOf({ code, device, address, network, port }: Cause): string {
  const about = [device, address ?? network ?? port].filter((one) => one !== undefined);
  return [code.replaceAll("_", " "), about.join(" ")].filter((one) => one !== "").join(": ");
}

/** The commands of a fix in one line, for a shell. */
export function commandsText({ commands }: Fix): string {
  return commands.map(shellText).join(" && ");
}

/** A command for a shell, for people to read and paste. */
export function shellText(command: readonly string[]): string {
  return command.map((word) =>
    /^[\w@%+=:,.\/-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
  ).join(" ");
}

/** What shows a cause, as a line. */
export function proofText(proof: Proof): string {
  if (typeof proof === "string") return proof;
  if ("rule" in proof) {
    const { family, table, chain, handle } = proof.rule;
    return `the kernel's trace: ${family} ${table} ${chain} ${
      handle === undefined ? "policy" : `rule handle ${handle}`
    } (verdict ${proof.verdict})`;
  }
  if ("drop" in proof) {
    return `the kernel dropped the packet on ${proof.device || "no device"}: ${proof.drop}${
      proof.location ? ` in ${proof.location}` : ""
    }`;
  }
  if ("setting" in proof) return `${proof.setting} is ${proof.value}`;
  if ("flags" in proof) {
    return `the flags of ${proof.device} are ${proof.flags.join(", ")}${
      proof.state ? `, its state is ${proof.state}` : ""
    }`;
  }
  const { asked, on, answers } = proof;
  return `asked on ${on} who has ${asked}, ${
    answers.length === 0 ? "nobody" : answers.join(", ")
  } answered`;
}

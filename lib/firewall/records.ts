/** Records of attachments, a file for each, `KEY.json`: what was made for them, written down before. */
import { messageOf, OperatorError } from "../base/error.ts";
import { namesIn } from "../base/exists.ts";
import { withFile } from "../base/file_error.ts";
import { isObject, type JsonObject, parseJson } from "../base/json.ts";
import {
  makeDirectory,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from "../kernel/atomic_file.ts";
import { keyOf, type Owner } from "./owner.ts";

/** Only root's: labels and ids of others' containers are in it. */
export const STATE_MODE = { directory: 0o700, file: 0o600 } as const;

export class Records<T extends Owner> {
  /**
   * @param isWhole whether an owner's record has what there is besides
   * @param onDamage gets the file of one that is none, which is nobody's
   */
  constructor(
    private readonly directory: string,
    private readonly isWhole: (record: JsonObject) => boolean,
    private readonly onDamage: (file: string, reason: string) => void,
  ) {}

  /** None where there is none, or where there was one that is damaged. @throws {OperatorError} `file` */
  read(owner: Owner): T | undefined {
    return this.readKey(keyOf(owner));
  }

  readKey(key: string): T | undefined {
    const file = this.#fileOf(key);
    const text = readCheckpoint(file);
    if (text === undefined) return undefined;
    try {
      return this.decode(text, key);
    } catch (error) {
      this.onDamage(file, messageOf(error));
      return undefined;
    }
  }

  /** @throws {Error} if it is not the record of that key */
  decode(text: string, key: string): T {
    const value = parseJson(text);
    if (this.isRecord(value) && keyOf(value) === key) return value;
    throw new Error("it is no record of an attachment");
  }

  isRecord(value: unknown): value is T {
    return isObject(value) && this.isWhole(value) &&
      [value.containerId, value.network, value.ifName].every((one) => typeof one === "string");
  }

  #keys(prefix = ""): string[] {
    return withFile("list", this.directory, () => namesIn(this.directory))
      .filter((name) => name.startsWith(prefix) && name.endsWith(".json") && !name.startsWith("."))
      .map((name) => name.slice(0, -".json".length));
  }

  /** Those whose key begins with a text, in no order. @throws {OperatorError} `file` */
  list(prefix?: string): T[] {
    return [...this.walk(prefix)];
  }

  /** The same, one at a time. @throws {OperatorError} `file` */
  *walk(prefix?: string): Generator<T> {
    for (const key of this.#keys(prefix)) {
      const record = this.readKey(key);
      if (record) yield record;
    }
  }

  /** All, and why others can't be read, whose owners are therefore not known. */
  survey(): { found: T[]; unread: OperatorError[] } {
    const unread: OperatorError[] = [];
    const found = this.#keys().flatMap((key) => {
      try {
        return this.readKey(key) ?? [];
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error;
        unread.push(error);
        return [];
      }
    });
    return { found, unread };
  }

  /** @throws {OperatorError} `file` */
  write(record: T): void {
    makeDirectory(this.directory, STATE_MODE.directory);
    writeCheckpoint(this.#fileOf(keyOf(record)), JSON.stringify(record), STATE_MODE.file);
  }

  /** @throws {OperatorError} `file` */
  remove(owner: Owner): void {
    removeCheckpoint(this.#fileOf(keyOf(owner)));
  }

  #fileOf(key: string): string {
    return `${this.directory}/${key}.json`;
  }
}

/** Container ids: a word, or for nested containers words joined by dots, the root's first. */
import { OperatorError } from "../base/error.ts";

/** As Mesos prints a ContainerID: `parent.child`. Also the directory's name and CNI_CONTAINERID. */
export type ContainerId = string & { readonly containerId: unique symbol };

/** One word of an id: what CNI allows in CNI_CONTAINERID, without the dot that joins words. */
const WORD = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

/** The longest file name of Linux's file systems (NAME_MAX), less `.json.new` and some room. */
const MAX_LENGTH = 240;

/**
 * @throws {OperatorError} `bad_container_id`, for what could be no directory name or would
 *   not pass a CNI plugin
 */
export function parseContainerId(text: string): ContainerId {
  if (isContainerId(text)) return text;
  throw new OperatorError(
    "bad_container_id",
    `${JSON.stringify(text.slice(0, 80))} is no container id: letters, digits, "-" and "_" ` +
      `(nested: words joined by "."), at most ${MAX_LENGTH} characters, none of it empty`,
  );
}

/** Whether a directory of this name can be a container's. */
export function isContainerId(text: string): text is ContainerId {
  return text.length <= MAX_LENGTH && text.split(".").every((word) => WORD.test(word));
}

/** The id without the ancestors: what a nested container is called by its parent. */
export function ownName(id: ContainerId): string {
  return id.slice(id.lastIndexOf(".") + 1);
}

export function parentOf(id: ContainerId): ContainerId | undefined {
  const dot = id.lastIndexOf(".");
  return dot < 0 ? undefined : id.slice(0, dot) as ContainerId;
}

/** The top-level ancestor, or the container itself. */
export function rootOf(id: ContainerId): ContainerId {
  return id.split(".")[0] as ContainerId;
}

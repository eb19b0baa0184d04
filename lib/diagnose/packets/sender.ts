/** Who sends a probe: the namespace that its sockets are of, and the user that they belong to. */
import { asUser, type User } from "../../kernel/privileges.ts";
import { inNamespaces } from "../../kernel/namespaces.ts";
import { Socket } from "../../kernel/socket.ts";

export interface Sender {
  /** Path of the namespace; this process's own when absent. */
  netns?: string;
  /** Of the task; a rule may go by it. This process's own when absent. */
  user?: User;
}

/** Opens a socket that is the sender's. @throws {SystemError} */
export function openAs(
  { netns, user }: Sender,
  family: number,
  type: number,
  protocol: number,
): Socket {
  // Only the socket is the user's: a namespace is entered with this program's own rights.
  const create = () => Socket.open(family, type, protocol);
  const asOther = user ? () => asUser(user, create) : create;
  return netns === undefined ? asOther() : inNamespaces({ net: netns }, asOther);
}

/** Hardware addresses that a caller asks for. */
import { quote } from "../../lib/base/json.ts";
import { wrong } from "../../lib/cni/fields.ts";

/** Six bytes in one of the spellings that Go's net.ParseMAC takes, as pairs with colons. */
export function readMac(text: string): string {
  const isPairs = /^[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}$/i.test(text);
  const isDotted = /^[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}$/i.test(text);
  if (!isPairs && !isDotted) {
    throw wrong(
      `the hardware address ${quote(text)} is asked for; it must be like 02:00:00:00:00:01`,
    );
  }
  return text.toLowerCase().replaceAll(/[^0-9a-f]/g, "").match(/../g)!.join(":");
}

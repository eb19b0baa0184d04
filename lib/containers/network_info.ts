/** Mesos' own part of a network config: `args."org.apache.mesos".network_info`. */
import { isObject, type JsonObject } from "../base/json.ts";
import { OperatorError } from "../base/error.ts";
import { type NetworkInfo, parseNetworkInfo } from "../mesos/messages.ts";

const MESOS = "org.apache.mesos";

/**
 * A network's config with what the framework asked for put in.
 *
 * @param file for the error
 * @throws {OperatorError} if the operator's config has that place taken
 */
export function withNetworkInfo(
  config: JsonObject,
  networkInfo: NetworkInfo,
  file: string,
): JsonObject {
  const args = config.args ?? {};
  if (!isObject(args)) throw new OperatorError("bad_config", `${file}: args: must be an object`);
  if (Object.hasOwn(args, MESOS)) {
    throw new OperatorError(
      "bad_config",
      `${file}: args."${MESOS}": is for the isolator to set; remove it`,
    );
  }
  return {
    ...config,
    args: { ...args, [MESOS]: { network_info: networkInfo as JsonObject } },
  };
}

/** What the framework asked for, from a config that a plugin was called with. */
export function networkInfoOf(config: JsonObject): NetworkInfo | undefined {
  const { args } = config;
  const mesos = isObject(args) ? args[MESOS] : undefined;
  const networkInfo = isObject(mesos) ? mesos.network_info : undefined;
  return networkInfo === undefined ? undefined : parseNetworkInfo(networkInfo, "network_info");
}

/** The least that a plugin does which is asked for its VERSION: it reads the config, and prints a constant. */
const buffer = new Uint8Array(64 << 10);
let length = 0;
for (let read; (read = Deno.stdin.readSync(buffer.subarray(length)));) length += read;
const { cniVersion } = JSON.parse(new TextDecoder().decode(buffer.subarray(0, length)));
if (Deno.env.get("CNI_COMMAND") !== "VERSION") Deno.exit(1);
const answer = { cniVersion, supportedVersions: ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] };
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(answer)));

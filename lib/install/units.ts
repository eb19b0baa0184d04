/** The systemd units: of `isolator serve`, and of metrics for Prometheus' node exporter. */

export interface UnitValues {
  /** Absolute, without control characters. */
  binary: string;
}

export const SERVICE = "mesos-cni.service";
export const SOCKET = "mesos-cni.socket";
export const METRICS = "mesos-cni-metrics.service";
export const METRICS_TIMER = "mesos-cni-metrics.timer";
/** Where Debian's node exporter looks for text files. */
const TEXTFILES = "/var/lib/prometheus/node-exporter";
export const METRICS_FILE = `${TEXTFILES}/mesos-cni.prom`;

/** The text of each unit by its file name. */
export function units({ binary }: UnitValues): Record<string, string> {
  return {
    [SERVICE]: `[Unit]
Description=Networks for containers (network/cni isolator)
Documentation=man:mesos-cni(1)
Requires=${SOCKET}
After=${SOCKET} network.target

[Service]
Type=notify
# Directories are those of /etc/mesos-cni.json.
ExecStart=${quoted(binary)} isolator serve
Restart=on-failure
# A stop is for the service alone: the plugins that are at work come to their end, each in a
# minute at most. State is on disk only, so a restart at any time is safe.
KillMode=mixed
TimeoutStopSec=150
LimitNOFILE=65536
# Namespaces of containers must show in the machine's own mount table.
PrivateMounts=no

[Install]
WantedBy=multi-user.target
`,
    [SOCKET]: `[Unit]
Description=Socket of the network/cni isolator

[Socket]
ListenStream=/run/mesos-cni/isolator.sock
SocketMode=0600
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
`,
    [METRICS]: `[Unit]
Description=Metrics of containers' networks for Prometheus' node exporter
Documentation=man:mesos-cni(1)
ConditionPathIsDirectory=${TEXTFILES}

[Service]
Type=oneshot
ExecStart=${quoted(binary)} status --format=prometheus --output=${METRICS_FILE}
# Something is wrong: so the metrics say.
SuccessExitStatus=1
TimeoutStartSec=60
Nice=10
`,
    [METRICS_TIMER]: `[Unit]
Description=Metrics of containers' networks, every minute

[Timer]
OnActiveSec=10
OnUnitActiveSec=60

[Install]
WantedBy=timers.target
`,
  };
}

/** A word of a command line as systemd.service(5) has it: no specifier, no variable, one word. */
function quoted(word: string): string {
  const escaped = word.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w./%$@+:-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll(/["\\]/g, "\\$&")}"`;
}

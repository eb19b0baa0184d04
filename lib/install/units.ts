/** The systemd units: of `isolator serve`, and of metrics for Prometheus' node exporter. */

/** Where Debian's node exporter looks for text files. */
const TEXTFILES = "/var/lib/prometheus/node-exporter";
export const METRICS_FILE = `${TEXTFILES}/mesos-cni.prom`;

/** The text of each unit by its file name. @param binary absolute, without control characters */
export function units(binary: string): Record<string, string> {
  return {
    "mesos-cni.service": `[Unit]
Description=Networks for containers (network/cni isolator)
Documentation=man:mesos-cni(1)
Requires=mesos-cni.socket
After=mesos-cni.socket network.target

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
    "mesos-cni.socket": `[Unit]
Description=Socket of the network/cni isolator

[Socket]
ListenStream=/run/mesos-cni/isolator.sock
SocketMode=0600
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
`,
    "mesos-cni-metrics.service": `[Unit]
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
    "mesos-cni-metrics.timer": `[Unit]
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

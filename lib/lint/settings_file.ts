/** Settings of the rules: read from the working directory, unless `--config` names another file. */
export const SETTINGS_FILE = ".mesos-cni-lint.json";

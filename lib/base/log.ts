/**
 * Structured lines on standard error. Standard output belongs to results. To log never throws and
 * never waits: a line that nobody takes is lost.
 */
import { messageOf, OperatorError } from "./error.ts";
import { errnoName } from "./file_error.ts";
import { jsonText, plainLine } from "./printable.ts";
import { writeErrorOutput } from "./streams.ts";

export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = "text" | "json";

const settings: { level: LogLevel; format: LogFormat } = { level: "warning", format: "text" };

/** Sets what is written from now on (`--log-level`, `--log-format`). */
export function configureLog(options: { level?: LogLevel; format?: LogFormat }): void {
  Object.assign(settings, options);
}

/** The format in force, for what is said on standard error beside the log. */
export function logFormat(): LogFormat {
  return settings.format;
}

/** Facts that belong to a line: container, network, plugin, file, duration in ms, … */
export type LogFields = Record<string, string | number | boolean | undefined>;

function write(level: LogLevel, message: string, fields: LogFields): void {
  if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(settings.level)) return;
  const line = settings.format === "json"
    ? jsonText({ time: new Date().toISOString(), level, message, ...fields })
    : plainLine(`mesos-cni: ${level}: ${message}`) +
      Object.entries(fields)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) =>
          ` ${key}=${/^[\w./:@-]+$/.test(String(value)) ? value : jsonText(value)}`
        )
        .join("");
  writeErrorOutput(line + "\n");
}

export const log = {
  debug: (message: string, fields: LogFields = {}) => write("debug", message, fields),
  info: (message: string, fields: LogFields = {}) => write("info", message, fields),
  warning: (message: string, fields: LogFields = {}) => write("warning", message, fields),
  error: (message: string, fields: LogFields = {}) => write("error", message, fields),
};

/**
 * The message of what one of many has failed by, where work goes on with the others. What was not
 * foreseen is a defect, whose stack goes to the log: nobody else would get to see it.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof OperatorError) && errnoName(error) === undefined) {
    log.error("defect", { stack: (error as Error).stack ?? messageOf(error) });
  }
  return messageOf(error);
}

/** The released versions of the CNI specification, oldest first. */
export const SPEC_VERSIONS = [
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.3.1",
  "0.4.0",
  "1.0.0",
  "1.1.0",
] as const;
export type SpecVersion = (typeof SPEC_VERSIONS)[number];

/** What a config without `cniVersion` means (specification 0.1.0, and what a stock Mesos agent sends). */
export const DEFAULT_VERSION: SpecVersion = "0.1.0";
export const NEWEST_VERSION: SpecVersion = "1.1.0";

/** Whether `text` is a version that this program speaks. */
export function isSpecVersion(text: unknown): text is SpecVersion {
  return (SPEC_VERSIONS as readonly unknown[]).includes(text);
}

/** The answer to VERSION of a plugin that speaks all versions, or those from one on. */
export function versionAnswer(oldest: SpecVersion = SPEC_VERSIONS[0]) {
  return {
    cniVersion: NEWEST_VERSION,
    supportedVersions: SPEC_VERSIONS.filter((version) => atLeast(version, oldest)),
  };
}

/** Whether `version` is `least` or newer. */
export function atLeast(version: SpecVersion, least: SpecVersion): boolean {
  return SPEC_VERSIONS.indexOf(version) >= SPEC_VERSIONS.indexOf(least);
}

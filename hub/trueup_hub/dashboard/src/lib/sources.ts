import type { SourceReport } from "./types";

export const SOURCE_WORDS: Record<string, string> = {
  present: "there",
  source_gone: "gone",
  truncated: "truncated",
  rewritten: "rewritten",
};

/** Logs of one harness, in one state; "" = any. */
export const ofSources = <T extends Pick<SourceReport, "harness" | "state">>(
  sources: T[],
  harness: string,
  state: string,
): T[] => sources.filter((source) => (!harness || source.harness === harness) && (!state || source.state === state));

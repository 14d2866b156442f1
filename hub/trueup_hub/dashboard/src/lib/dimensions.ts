/** What data can be divided by, and how that and its values are called. */

import type { Capabilities } from "./types";

/** `label:NAME` besides. */
export const DIMENSIONS = ["model", "harness", "provider", "project", "host"];
const LABEL = "label:";

export const dimensionName = (dimension: string): string =>
  dimension.startsWith(LABEL) ? dimension.slice(LABEL.length) : dimension;

/** What has no value of a dimension. */
export const unknownName = (dimension: string): string =>
  `${dimension.startsWith(LABEL) ? "no" : "unknown"} ${dimensionName(dimension)}`;

export interface Keyed {
  key: string | null;
  label: string | null;
}
export const keyedName = ({ key, label }: Keyed, dimension: string): string => label ?? key ?? unknownName(dimension);

/** Those that every hub has, each label that hosts of this one have, and the one that is chosen. */
export function dimensionsOf(capabilities: Capabilities | null, chosen: string | null): string[] {
  const labels = (capabilities?.values?.["label"] ?? []).map((one) => LABEL + one.slice(0, one.indexOf(":")));
  return [...new Set([...DIMENSIONS, ...labels, ...(chosen ? [chosen] : [])])];
}

import type { Reported } from "./types";

/** How well a counter is known. */
export function extentWords(extent: Reported | undefined): string {
  if (!extent || extent.reported === "none") return "not reported";
  const marks = [extent.lower_bound ? "≥" : "", extent.derived ? "derived" : ""].filter(Boolean);
  return [extent.reported === "all" ? "always" : "sometimes", ...marks].join(" · ");
}

/** How metrics are called and read on the page. Which of them there are is the hub's to say (`/capabilities`). */

import { isLowerBound, type Kind } from "./format";
import type { Coverage, Totals } from "./types";

interface Named {
  label: string;
  kind: Kind;
}

const NAMES: Record<string, Named> = {
  messages: { label: "Messages", kind: "count" },
  sessions: { label: "Sessions started", kind: "count" },
  active_sessions: { label: "Active sessions", kind: "count" },
  tool_calls: { label: "Tool calls", kind: "count" },
  input_tokens: { label: "Input tokens", kind: "tokens" },
  cache_read_tokens: { label: "Cache read tokens", kind: "tokens" },
  cache_write_tokens: { label: "Cache write tokens", kind: "tokens" },
  cache_write_1h_tokens: { label: "Cache write (1 h) tokens", kind: "tokens" },
  output_tokens: { label: "Output tokens", kind: "tokens" },
  reasoning_tokens: { label: "Reasoning tokens", kind: "tokens" },
  input_undivided_tokens: { label: "Undivided input tokens", kind: "tokens" },
  undivided_tokens: { label: "Undivided tokens", kind: "tokens" },
  context_tokens: { label: "Context", kind: "tokens" },
  total_tokens: { label: "Total tokens", kind: "tokens" },
  peak_context_tokens: { label: "Peak context", kind: "tokens" },
  cost: { label: "Cost at list price", kind: "money" },
  cache_savings: { label: "Saved by caching", kind: "money" },
};

/** A newer hub may name a metric that this page does not know: it is shown by its own name. */
export const metricName = (metric: string): Named =>
  NAMES[metric] ?? { label: metric.replaceAll("_", " "), kind: "count" };

/** The field of `totals` that carries a metric; of a newer hub's perhaps one that this page's types do not have. */
export const totalsField = (metric: string): keyof Totals =>
  (NAMES[metric]?.kind === "money" ? `${metric}_microusd` : metric) as keyof Totals;

/** Of a summary, a row or a bucket. */
export interface Sums {
  totals: Totals;
  coverage: Record<string, Coverage>;
  peak_context_tokens?: number | null;
}

export const valueOf = (sums: Sums, metric: string): number | null =>
  metric === "peak_context_tokens" ? (sums.peak_context_tokens ?? null) : (sums.totals[totalsField(metric)] ?? null);

/** Counts are complete; what caching saves where it is not known may as well be a loss. */
export const mayBeMore = (metric: string, coverage: Coverage | undefined): boolean =>
  metricName(metric).kind !== "count" && metric !== "cache_savings" && isLowerBound(coverage);

/** A request that reported only a part of its tokens is priced by that part. */
export function sumMayBeMore({ totals, coverage }: Sums, metric: string): boolean {
  if (metric === "cost") return totals.unpriced_tokens > 0 || isLowerBound(coverage["total_tokens"]);
  return mayBeMore(metric, coverage[metric === "peak_context_tokens" ? "context_tokens" : totalsField(metric)]);
}

/** How metrics are called and read on the page. Which of them there are is the hub's to say (`/capabilities`). */

import type { Kind } from "./format";
import type { Totals } from "./types";

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

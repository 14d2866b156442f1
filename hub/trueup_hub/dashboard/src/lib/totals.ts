/** The numbers at the head of the overview, each with how well it is known. */

import type { Known } from "./compare";
import { compact, coverageWords, exact, percent, plural } from "./format";
import { sumMayBeMore, totalsField, valueOf } from "./metrics";
import type { Coverage, Summary } from "./types";

export interface Tile extends Known {
  id: string;
  label: string;
  beside?: string; // the label goes on, unbroken
  lead?: true;
  wide?: true;
  notes: string[];
  reported?: string; // how requests are called that gave this number
}

const COUNTERS = [
  ["Input", "input_tokens"],
  ["Cache read", "cache_read_tokens"],
  ["Cache write", "cache_write_tokens"],
  ["Output", "output_tokens"],
  ["Reasoning", "reasoning_tokens"],
] as const;

export function tilesOf(summary: Summary): Tile[] {
  const { totals } = summary;
  const undivided = (totals.undivided_tokens ?? 0) + (totals.input_undivided_tokens ?? 0);
  const total = tokens(summary, "Total tokens", "total_tokens");
  if (undivided > 0) total.notes.push(`${compact(undivided)} not divided into input and output`);
  const costs = [listPrice(summary), ...reportedCost(summary)];
  return [
    { ...total, lead: true, wide: true },
    ...costs.map((tile): Tile => ({ ...tile, lead: true, ...(costs.length === 1 ? { wide: true } : {}) })),
    {
      ...count("sessions", "Sessions", summary.total_sessions, `${exact(summary.active_sessions)} active`),
      lead: true,
    },
    {
      ...count("messages", "Messages", summary.total_messages, `${compact(totals.tool_calls)} tool calls`),
      lead: true,
    },
    ...COUNTERS.map(([label, metric]) => tokens(summary, label, metric)),
    count(
      "requests",
      "Requests",
      summary.events,
      summary.counted === "all" ? "every copy counted" : "each counted once",
    ),
  ];
}

const count = (id: string, label: string, value: number, note: string): Tile => ({
  ...{ id, label, kind: "count", value, mayBeMore: false, coverage: null, notes: [note] },
});

function tokens(summary: Summary, label: string, metric: string): Tile {
  const [value, coverage] = [valueOf(summary, metric), summary.coverage[metric]];
  // A total is reported when all of it is: it may be known in part though no request told all
  const inPart = value !== null && coverage?.reported === 0;
  return {
    ...{ id: metric, label, kind: "tokens", value },
    notes: [inPart ? "no request reported all of it" : coverageWords(coverage)],
    ...{ mayBeMore: sumMayBeMore(summary, metric), coverage: coverage ?? NONE },
  };
}

const NONE: Coverage = { events: 0, reported: 0, lower_bound: 0, derived: 0 };

function listPrice(summary: Summary): Tile {
  const coverage = summary.coverage[totalsField("cost")] ?? NONE;
  const value = valueOf(summary, "cost");
  const notes = [
    summary.unpriced_tokens > 0 ? `${compact(summary.unpriced_tokens)} tokens have no price` : "",
    value === null ? "nothing could be priced" : "",
    coverage.lower_bound > 0 ? `${exact(coverage.lower_bound)} ${plural(coverage.lower_bound, "lower bound")}` : "",
  ].filter(Boolean);
  if (notes.length === 0) notes.push("every token priced");
  return {
    ...{ id: "cost", label: "Cost", beside: "at list price", kind: "money", value, notes },
    ...{ mayBeMore: sumMayBeMore(summary, "cost"), coverage, reported: "priced" },
  };
}

/** What harnesses said that requests cost: where any did, and kept apart from list prices. */
function reportedCost({ totals, coverage }: Summary): Tile[] {
  const { reported_cost_microusd: value, reported_credits: credits } = totals;
  const told = coverage["reported_cost_microusd"] ?? NONE;
  if (value === null && credits === null) return [];
  const notes = value === null ? [] : [`of ${percent(told.reported, told.events)} of requests`];
  if (credits !== null) notes.push(`${compact(credits)} credits`);
  return [
    {
      ...{ id: "reported_cost", label: "Cost", beside: "as reported by harnesses", kind: "money", value, notes },
      ...{ mayBeMore: false, coverage: told },
    },
  ];
}

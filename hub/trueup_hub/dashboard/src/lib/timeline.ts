/** The requests of a session in their order, few enough to be drawn: context as a line, output as bars. */

import type { Message } from "./types";
import { Colours, partId, SLOTS } from "./series";

/** One request. `asked`: how many prompts of the user came since the one before. */
export interface Request {
  at: string;
  timed: boolean; // its record's own time
  model: string | null;
  slot: number;
  context: number | null;
  output: number | null;
  contextAtLeast: boolean;
  outputAtLeast: boolean;
  counted: boolean;
  asked: number;
  message: number; // where it stands in the list of messages
}

export interface Legend {
  model: string | null;
  slot: number;
  requests: number;
}

/** What stands in one place of the drawing: some requests that follow each other. */
export interface Step {
  first: number;
  last: number;
  context: number | null; // the greatest
  output: number | null; // the sum
  contextAtLeast: boolean;
  outputAtLeast: boolean;
  contextUnknown: number;
  outputUnknown: number;
  setAside: number;
  asked: number;
  bars: { slot: number; output: number }[];
}

/** Models have colours by how often they were asked; those beyond the last colour share one. */
export function requestsOf(messages: Message[], colours: Colours): { requests: Request[]; legend: Legend[] } {
  const often = new Map<string, { model: string | null; requests: number }>();
  for (const { usage } of messages) {
    if (!usage) continue;
    const one = often.get(partId(usage.model)) ?? { model: usage.model, requests: 0 };
    often.set(partId(usage.model), { ...one, requests: one.requests + 1 });
  }
  const ranked = [...often].sort((a, b) => b[1].requests - a[1].requests);
  const head = ranked.slice(0, SLOTS);
  const slots = new Map(colours.assign(head.map(([id]) => id)).map((slot, at) => [head[at]?.[0] ?? "", slot]));
  const slotOf = (model: string | null) => slots.get(partId(model)) ?? SLOTS;
  const requests: Request[] = [];
  let asked = 0;
  messages.forEach(({ role, kind, usage }, message) => {
    if (role === "user" && kind === "prompt") asked++;
    if (!usage) return;
    requests.push({
      at: usage.at,
      timed: usage.time_quality === "record",
      model: usage.model,
      slot: slotOf(usage.model),
      context: usage.context_tokens,
      output: usage.output_tokens,
      contextAtLeast: usage.lower_bounds.includes("context_tokens"),
      outputAtLeast: usage.lower_bounds.includes("output_tokens"),
      counted: usage.counted,
      asked,
      message,
    });
    asked = 0;
  });
  return { requests, legend: ranked.map(([, one]) => ({ ...one, slot: slotOf(one.model) })) };
}

/** At most `most` steps, of equal numbers of requests but for the last. */
export function stepsOf(requests: Request[], most: number): Step[] {
  const each = Math.max(1, Math.ceil(requests.length / Math.max(1, most)));
  const steps: Step[] = [];
  for (let first = 0; first < requests.length; first += each)
    steps.push(stepOf(requests.slice(first, first + each), first));
  return steps;
}

function stepOf(some: Request[], first: number): Step {
  const bars = new Map<number, number>();
  const step: Step = {
    first,
    last: first + some.length - 1,
    context: null,
    output: null,
    contextAtLeast: false,
    outputAtLeast: false,
    contextUnknown: 0,
    outputUnknown: 0,
    setAside: 0,
    asked: 0,
    bars: [],
  };
  for (const one of some) {
    step.asked += one.asked;
    if (!one.counted) step.setAside++;
    if (one.context === null) step.contextUnknown++;
    else if (step.context === null || one.context > step.context)
      [step.context, step.contextAtLeast] = [one.context, one.contextAtLeast];
    if (one.output === null) step.outputUnknown++;
    else {
      step.output = (step.output ?? 0) + one.output;
      step.outputAtLeast ||= one.outputAtLeast;
      bars.set(one.slot, (bars.get(one.slot) ?? 0) + one.output);
    }
  }
  step.bars = [...bars].map(([slot, output]) => ({ slot, output })).sort((a, b) => a.slot - b.slot);
  return step;
}

/** Stretches of steps without a gap: the line is not drawn over what is not known. */
export function stretches(steps: Step[]): { at: number; context: number }[][] {
  const found: { at: number; context: number }[][] = [];
  let open: { at: number; context: number }[] | null = null;
  steps.forEach(({ context }, at) => {
    if (context === null) open = null;
    else if (open) open.push({ at, context });
    else found.push((open = [{ at, context }]));
  });
  return found;
}

/** A round number of at least the greatest, for the end of an axis. */
export function roundUp(greatest: number): number {
  if (greatest <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(greatest));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((times) => times * power).find((end) => end >= greatest) ?? greatest;
}

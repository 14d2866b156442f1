import { describe, expect, test } from "vitest";
import { Colours } from "../src/lib/series";
import { requestsOf, roundUp, stepsOf, stretches, type Request } from "../src/lib/timeline";
import type { Message } from "../src/lib/types";

interface Given {
  model?: string | null;
  context?: number | null;
  output?: number | null;
  lower?: string[];
  counted?: boolean;
}

function request({ model = "a", context = 100, output = 10, lower = [], counted = true }: Given = {}): Message {
  const usage = { model, context_tokens: context, output_tokens: output, lower_bounds: lower, counted };
  return { role: "assistant", kind: "answer", usage: { ...usage, at: "2026-11-02T12:00:00Z" } } as unknown as Message;
}
const prompt = { role: "user", kind: "prompt", usage: null } as unknown as Message;
const drawn = (messages: Message[]): Request[] => requestsOf(messages, new Colours()).requests;

describe("requests on the line", () => {
  test("are the messages with usage, with the prompts before them", () => {
    const requests = drawn([prompt, request(), request(), prompt, prompt, request()]);
    expect(requests.map(({ asked }) => asked)).toEqual([1, 0, 2]);
    expect(requests.map(({ message }) => message)).toEqual([1, 2, 5]);
  });

  test("models have colours by how often they were asked, an unknown one too", () => {
    const { requests, legend } = requestsOf(
      [request({ model: "b" }), request({ model: null }), request({ model: null })],
      new Colours(),
    );
    expect(legend.map(({ model, requests }) => [model, requests])).toEqual([
      [null, 2],
      ["b", 1],
    ]);
    expect(new Set(requests.map(({ slot }) => slot)).size).toBe(2);
  });
});

describe("steps of the drawing", () => {
  test("few requests have one each", () => {
    const steps = stepsOf(drawn([request({ context: 5 }), request({ context: 9, output: null })]), 100);
    expect(steps.map(({ first, last }) => [first, last])).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect(steps[1]).toMatchObject({ context: 9, output: null, outputUnknown: 1 });
  });

  test("many requests share them: the greatest context, the sum of outputs, none left out", () => {
    const many = Array.from({ length: 5_000 }, (_, at) => request({ context: at, output: 2 }));
    const steps = stepsOf(drawn(many), 300);
    expect(steps.length).toBeLessThanOrEqual(300);
    expect(steps.at(-1)?.last).toBe(4_999);
    expect(steps.reduce((sum, step) => sum + (step.output ?? 0), 0)).toBe(10_000);
    expect(steps.at(-1)?.context).toBe(4_999);
  });

  test("a shared step stacks its models, and one lower bound makes it one", () => {
    const both = [request({ model: "a", output: 3 }), request({ model: "b", output: 4, lower: ["output_tokens"] })];
    const [step] = stepsOf(drawn(both), 1);
    expect(step?.bars.map(({ output }) => output)).toEqual([3, 4]);
    expect(step).toMatchObject({ output: 7, outputAtLeast: true, contextAtLeast: false });
  });

  test("copies that are set aside are told apart", () => {
    expect(stepsOf(drawn([request(), request({ counted: false })]), 1)[0]?.setAside).toBe(1);
  });

  test("no requests have none", () => expect(stepsOf([], 100)).toEqual([]));
});

test("the line has a gap where context is not known, and a reported 0 is on it", () => {
  const steps = stepsOf(drawn([1, 0, null, 3].map((context) => request({ context }))), 10);
  expect(stretches(steps)).toEqual([
    [
      { at: 0, context: 1 },
      { at: 1, context: 0 },
    ],
    [{ at: 3, context: 3 }],
  ]);
});

test("an axis ends at a round number that is high enough", () => {
  expect([0, 1, 93_021, 4_100, 1_000_000].map(roundUp)).toEqual([1, 1, 100_000, 5_000, 1_000_000]);
});

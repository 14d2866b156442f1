import { expect, test } from "vitest";
import type { Trust } from "../src/lib/types";
import { byUrgency, trustFacts, trustLine } from "../src/lib/words";

const none = { total: 0, converged: 0, behind: 0, silent: 0, diverged: 0, forked: 0, never: 0, retired: 0 };
const trust = (hosts: Partial<typeof none>, facts: Partial<Trust> = {}): Trust => ({
  as_of: "2026-11-22T09:00:00Z",
  complete_up_to: null,
  hosts: { ...none, ...hosts },
  needs_resync: 0,
  drift_suspected: 0,
  pending_changes: 0,
  old_data: 0,
  source_gone: 0,
  set_aside_duplicates: 0,
  conflicting_copies: 0,
  rejected: 0,
  unpriced_tokens: 0,
  scrubbed_at: null,
  ...facts,
});

test("all is well only where every host is converged", () => {
  expect(trustLine(trust({ total: 12, converged: 12 }))).toEqual({ tone: "good", words: "All 12 hosts converged" });
  expect(trustLine(trust({ total: 1, converged: 1 }))).toEqual({ tone: "good", words: "1 host, converged" });
  expect(trustLine(trust({}))).toEqual({ tone: "quiet", words: "No host yet" });
});

test("what is not well is named, the worst first, and sets the tone", () => {
  expect(trustLine(trust({ total: 12, converged: 9, behind: 1, silent: 1, never: 1 }))).toEqual({
    tone: "warn",
    words: "9 of 12 hosts converged · 1 silent, 1 behind, 1 nothing yet",
  });
  expect(trustLine(trust({ total: 2, behind: 1, diverged: 1 })).tone).toBe("bad");
});

test("a host that needs a resync is named although it is converged, and once", () => {
  expect(trustLine(trust({ total: 3, converged: 3 }, { needs_resync: 1 }))).toEqual({
    tone: "warn",
    words: "All 3 hosts converged · 1 needs a resync",
  });
  expect(trustLine(trust({ total: 3, converged: 1, diverged: 1, behind: 1 }, { needs_resync: 3 }))).toEqual({
    tone: "bad",
    words: "1 of 3 hosts converged · 1 diverged, 1 behind, 2 need a resync",
  });
  expect(trustLine(trust({ total: 1, forked: 1 }, { needs_resync: 1 })).words).toBe("0 of 1 host converged · 1 forked");
});

test("facts are coloured only where there is something", () => {
  const facts = trustFacts(trust({ total: 1 }, { rejected: 3 }));
  expect(facts.filter((fact) => fact.tone !== "quiet").map((fact) => [fact.name, fact.value])).toEqual([
    ["Rejected rows", 3],
  ]);
});

test("hosts that need somebody come first", () => {
  const hosts = (["converged", "retired", "silent", "converged", "diverged"] as const).map((state, n) => ({
    state,
    n,
  }));
  expect(byUrgency(hosts).map((host) => host.n)).toEqual([4, 2, 0, 3, 1]);
});

import { expect, test } from "vitest";
import type { Summary, Trust } from "../src/lib/types";
import { verdict } from "../src/lib/verdict";

interface Told {
  total?: { events: number; reported: number; lower_bound: number };
  priced?: number;
  unpriced?: number;
  hosts?: { total: number; converged: number; diverged?: number };
  trust?: Partial<Trust>;
}

const said = ({ total, priced = 0, unpriced = 0, hosts = { total: 0, converged: 0 }, trust = {} }: Told): string => {
  const none = { needs_resync: 0, rejected: 0, conflicting_copies: 0, drift_suspected: 0 };
  const summary = {
    coverage: { total_tokens: total, cost_microusd: { reported: priced } },
    totals: { total_tokens: 1_000 },
    unpriced_tokens: unpriced,
    trust: { ...none, ...trust, hosts: { diverged: 0, forked: 0, ...hosts } },
  };
  return verdict(summary as unknown as Summary, "en")
    .map(({ words }) => words)
    .join("; ");
};

test("all is well only where every request, host and price is there", () => {
  const total = { events: 5_196, reported: 5_196, lower_bound: 0 };
  expect(said({ total, priced: 5_196, hosts: { total: 2, converged: 2 } })).toBe(
    "all 5,196 requests reported a complete total; all 2 hosts are complete; every reported token has a list price; " +
      "nothing was rejected",
  );
});

test("what is missing is told exactly and never rounded up", () => {
  const told = said({
    total: { events: 1_000, reported: 972, lower_bound: 40 },
    unpriced: 123,
    hosts: { total: 20, converged: 17 },
    trust: { rejected: 3, conflicting_copies: 1, drift_suspected: 2 },
  });
  expect(told).toBe(
    "972 of 1,000 requests (97 %) reported a complete total; 40 of these are lower bounds; 3 of 20 hosts are not " +
      "complete; 123 tokens (12 %) have no list price; 3 rows were rejected and count nowhere; 1 request was told with " +
      "other numbers by a second host; usage of 2 hosts may go unread",
  );
});

test("nothing used and nobody enrolled is no praise", () => {
  expect(said({})).toBe("there was no request in this range; no host is enrolled; nothing was rejected");
});

test("one of something is told as one", () => {
  const total = { events: 1, reported: 1, lower_bound: 1 };
  expect(said({ total, unpriced: 1, hosts: { total: 1, converged: 0 }, trust: { rejected: 1 } })).toBe(
    "the only request reported a complete total; 1 of these is a lower bound; 1 of 1 host is not complete; " +
      "1 token (< 1 %) has no list price; 1 row was rejected and counts nowhere",
  );
});

test("rows that must come again are told, but not of diverged hosts, where that goes without saying", () => {
  const told = (diverged: number) =>
    said({ hosts: { total: 2, converged: 2 - diverged, diverged }, trust: { needs_resync: 1 } });
  expect(told(0)).toContain("all 2 hosts are complete; rows of 1 host must come again");
  expect(told(1)).not.toContain("again");
});

import { describe, expect, test } from "vitest";
import {
  addsUp,
  badge,
  countersOf,
  dayAndTime,
  duration,
  durationOf,
  elsewhere,
  knownAs,
  loadedWords,
  mixOf,
  requestsShown,
} from "../src/lib/session";
import { copySays, partCounts, partNotes } from "../src/lib/provenance";
import type { Contribution, Copy, Message, Session, SessionUsage, Usage } from "../src/lib/types";

const usage = (given: Partial<Usage> = {}): Usage =>
  ({ event_id: "e", lower_bounds: [], derived: [], unstated: [], context_tokens: null, ...given }) as Usage;
const message = (given: Partial<Message> = {}): Message =>
  ({ id: "m", event_id: null, usage: null, ...given }) as Message;

describe("the badge", () => {
  test("is that of agentsview: a dash for what is not reported, nothing where nothing is", () => {
    expect(badge(93_000, 39_100, false, false, "en")).toBe("93.0K ctx / 39.1K out");
    expect(badge(null, 0, false, false, "en")).toBe("— ctx / 0 out");
    expect(badge(5, null, false, false, "en")).toBe("5 ctx / — out");
    expect(badge(null, null)).toBeNull();
  });
  test("says what is a lower bound", () => expect(badge(5, 7, false, true, "en")).toBe("5 ctx / ≥ 7 out"));
});

describe("a request's counter", () => {
  test("is known in one of four ways, the doubtful first", () => {
    const known = usage({
      lower_bounds: ["output_tokens"],
      derived: ["input_tokens"],
      unstated: ["cache_read_tokens"],
    });
    expect(
      ["output_tokens", "input_tokens", "cache_read_tokens", "undivided_tokens"].map((name) => knownAs(known, name)),
    ).toEqual(["at least", "derived", "unstated", "exact"]);
  });

  test("has a column where it is usual, the rarer ones where some request reported them", () => {
    expect(countersOf([message(), message({ usage: usage({ reasoning_tokens: null }) })])).not.toContain(
      "undivided_tokens",
    );
    const rare = [message(), message({ usage: usage({ undivided_tokens: 0 }) })];
    expect(countersOf(rare)).toContain("undivided_tokens");
    expect(countersOf(rare).slice(0, 2)).toEqual(["context_tokens", "input_tokens"]);
  });

  test("of a request with several messages stands at the first", () => {
    const list = [message({ event_id: "e", usage: usage() }), message({ event_id: "e" }), message({ event_id: "x" })];
    const shown = requestsShown(list);
    expect(list.map((one) => elsewhere(one, shown))).toEqual([
      null,
      "same request as above",
      "its request counts elsewhere",
    ]);
    expect(elsewhere(message(), shown)).toBeNull();
  });
});

test("the words below the table say whether all is there, and requests without a message are no messages", () => {
  const list = [message(), message({ usage: usage() }), message({ id: null, usage: usage() })];
  expect(loadedWords(list, true, "en")).toBe("All 2 messages with 2 requests");
  expect(loadedWords(list, false, "en")).toContain("later ones are not");
});

describe("duration", () => {
  const session = { started_at: "2026-11-02T09:00:00Z" } as Session;
  const of = (record: number, last_at: string) =>
    durationOf(session, { parts: [{ times: { record }, first_at: last_at, last_at }] } as unknown as SessionUsage);
  test("ends with the last request that has a time of its own", () => {
    expect(of(2, "2026-11-02T10:30:00Z")).toBe(5_400);
    expect(of(0, "2026-11-02T10:30:00Z")).toBeNull();
    expect(durationOf(session, null)).toBeNull();
  });
  test("is told as people say it", () => {
    expect([null, 0, 59, 60, 3_600, 5_460, 200_000].map((seconds) => duration(seconds, "en"))).toEqual([
      "—",
      "0 s",
      "59 s",
      "1 min",
      "1 h 0 min",
      "1 h 31 min",
      "2 days 7 h",
    ]);
  });
});

test("the share of a model is of all tokens, and unknown where it or all of them reported none", () => {
  const model = (key: string, total_tokens: number | null) => ({
    key,
    events: 1,
    totals: { total_tokens, cost_microusd: null },
  });
  const session = (total: number | null, ...by_model: unknown[]) =>
    ({ totals: { total_tokens: total }, by_model }) as unknown as Session;
  expect(mixOf(session(8, model("a", 6), model("b", 2), model("c", null))).map(({ share }) => share)).toEqual([
    0.75,
    0.25,
    null,
  ]);
  expect(mixOf(session(null, model("a", null)))[0]?.share).toBeNull();
  expect(mixOf(session(0, model("a", 0)))[0]?.share).toBeNull();
});

test("a day of this year needs no year", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  expect(dayAndTime("2026-11-02T12:00:00Z", "UTC", now, "en-US")[0]).toBe("Nov 2");
  expect(dayAndTime("2025-11-02T12:00:00Z", "UTC", now, "en-US")[0]).toBe("Nov 2, 2025");
  expect(dayAndTime("2025-12-31T23:30:00Z", "Europe/Berlin", now, "en-US")[0]).toBe("Jan 1");
});

describe("where numbers come from", () => {
  const copy = (given: Partial<Copy> = {}): Copy => ({
    host: { id: "h", label: "desk" },
    ledger_id: "l",
    chosen: true,
    stale: false,
    messages: 3,
    events_counted: 5,
    events_set_aside: 0,
    data_version: 2,
    batch_no: 7,
    received_at: "2026-11-02T09:00:00Z",
    seq: 1,
    source_key: "s",
    source_path: null,
    source_state: "present",
    generation: 0,
    verdict: "converged",
    converged_at: "2026-11-02T09:00:00Z",
    agent_version: "0.1.0",
    ...given,
  });
  const said = (given: Partial<Copy>, newest = 2) =>
    Object.fromEntries(copySays(copy(given), newest, "UTC").map(({ name, words, tone }) => [name, { words, tone }]));

  test("what counts and what is set aside is said in numbers", () => {
    expect(said({})["Counts"]?.words).toBe("All its 5 requests.");
    expect(said({ events_set_aside: 1 })["Counts"]?.words).toBe(
      "5 requests; 1 request set aside: the same one is counted from another copy.",
    );
    expect(said({ events_counted: 0, events_set_aside: 5 })["Counts"]?.words).toMatch(/^Nothing: 5 requests set aside/);
    expect(said({ events_counted: 0 })["Counts"]?.words).toBe("It has no requests.");
  });

  test("a verdict is told by what it means, and an old row is worse than any", () => {
    expect(said({})["Proof"]?.tone).toBe("good");
    expect(said({ verdict: "behind", converged_at: null })["Proof"]).toEqual({
      tone: "warn",
      words: "The machine has more to send. Last equal: never.",
    });
    expect(said({ verdict: "diverged" })["Proof"]?.tone).toBe("bad");
    expect(said({ verdict: null })["Proof"]?.tone).toBe("quiet");
    expect(said({ stale: true })["Proof"]?.tone).toBe("bad");
  });

  test("a log that is gone, an older parser and a full push are told", () => {
    expect(said({ source_state: "gone", source_path: "/logs/a" })["Log"]?.words).toMatch(/^No longer .*: \/logs\/a\.$/);
    expect(said({ data_version: 1 })["Read by"]).toMatchObject({ tone: "warn" });
    expect(said({ data_version: 1 })["Read by"]?.words).toContain("today's is 2");
    expect(said({ generation: 3 })["Received"]?.words).toContain("full push 3");
  });

  const part = (given: Partial<Contribution> = {}): Contribution =>
    ({
      counted: true,
      counts_at: null,
      conflicts: 0,
      events: 4,
      times: { record: 4, session: 0, file: 0 },
      clock_skew: 0,
      old_data: 0,
      unstated: 0,
      data_versions: [2],
      prices: [],
      ...given,
    }) as unknown as Contribution;

  test("a part that is set aside says whose copy counts", () => {
    const desk = { host: { id: "h", label: "desk" }, ledger_id: "l" };
    expect(partCounts(part({ counted: false, counts_at: desk })).words).toBe("set aside: the copy on desk counts");
    expect(partCounts(part({ counted: false })).words).toBe("set aside: no copy counts yet");
    expect(partCounts(part()).words).toBe("counts");
  });

  test("nothing is noted of a part that is as it should be, and every doubt of another", () => {
    expect(partNotes(part(), 2)).toEqual([]);
    const doubtful = part({
      conflicts: 1,
      times: { record: 0, session: 3, file: 1 },
      clock_skew: 4,
      old_data: 2,
      unstated: 1,
    });
    expect(partNotes(doubtful, 2)).toHaveLength(6);
    expect(partNotes(doubtful, 2)[3]).toBe("all dated ahead of the machine's clock");
    expect(partNotes(part({ data_versions: [1] }), 2)).toEqual(["read by data version 1; today's is 2"]);
  });
});

test("messages that are all there add up to their session", () => {
  const totals = { total_tokens: 7 } as Session["totals"];
  const list = [
    message({ usage: usage({ total_tokens: 7 }) }),
    message({ usage: usage({ total_tokens: null }) }),
    message(),
  ];
  expect(addsUp(list, { events: 2, totals })).toBe(true);
  expect(addsUp(list, { events: 3, totals })).toBe(false);
  expect(addsUp(list.slice(1), { events: 1, totals })).toBe(false);
  expect(addsUp(list.slice(1), { events: 1, totals: { total_tokens: null } as Session["totals"] })).toBe(true);
});

import { expect, test } from "vitest";
import { HubError } from "../src/lib/api";
import { progressWords } from "../src/lib/directives";
import { commands, hubAddress, isLoopback } from "../src/lib/enrol";
import { chosen, counted, lagWords, ordered, rowOf, toldOnce } from "../src/lib/hosts";
import { digestWords, parserWords, policyWords, skewWords } from "../src/lib/ledgers";
import { extentWords } from "../src/lib/reported";
import type { DirectiveStatus, Flag, HostReport, LedgerReport } from "../src/lib/types";
import { problemWords, whyNot } from "../src/lib/words";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const ledger = (about: Partial<LedgerReport>): LedgerReport =>
  ({
    live: true,
    pending: 0,
    agent_version: "0.1.0",
    parsers: { claude: { version: 1, floor: 1 } },
    ...about,
  }) as LedgerReport;
const host = (label: string, about: Partial<HostReport> = {}): HostReport =>
  ({
    ...{ host_id: `id of ${label}`, label, labels: {}, kind: "laptop", platform: "Linux", state: "converged" },
    ...{ reason: "All here.", action: "", flags: [], last_seen_at: null, ledgers: [ledger({})], ...about },
  }) as HostReport;
const row = (label: string, about: Partial<HostReport> = {}, completeUpTo: string | null = null) => ({
  ...rowOf(host(label, about), undefined, []),
  completeUpTo,
});
const labels = (rows: { host: HostReport }[]) => rows.map((one) => one.host.label);
const flag = (name: string, reason: string, action = ""): Flag => ({ flag: name, reason, action });

test("the most urgent comes first: by state, then what there is something to do about, then by name", () => {
  const rows = [
    row("b"),
    row("a10"),
    row("a9"),
    row("z", { flags: [flag("clock_skew", "Its clock is off.", "Set its clock.")] }),
    row("y", { flags: [flag("readmitted", "It was readmitted.")] }),
    row("gone", { state: "retired" }),
    row("late", { state: "behind" }),
    row("two", { state: "forked" }),
  ];
  expect(labels(ordered(rows, "urgency", "en"))).toEqual(["two", "late", "z", "a9", "a10", "b", "y", "gone"]);
});

test("what is unknown comes last in either order", () => {
  const pending = (number: number | null) => ({ ledgers: [ledger({ pending: number })] });
  const rows = [
    row("unknown", pending(null)),
    row("few", pending(2)),
    row("many", pending(10)),
    row("none", pending(0)),
  ];
  expect(labels(ordered(rows, "pending", "en"))).toEqual(["none", "few", "many", "unknown"]);
  expect(labels(ordered(rows, "-pending", "en"))).toEqual(["many", "few", "none", "unknown"]);
  const seen = [
    row("never"),
    row("old", { last_seen_at: "2026-11-01T00:00:00Z" }),
    row("new", { last_seen_at: "2026-11-22T00:00:00Z" }),
  ];
  expect(labels(ordered(seen, "seen", "en"))).toEqual(["old", "new", "never"]);
});

test("a sum of pending changes with an unknown part is a lower bound, and ledgers that were replaced do not count", () => {
  const found = row("a", {
    ledgers: [ledger({ pending: 5 }), ledger({ pending: null }), ledger({ pending: 9, live: false })],
  });
  expect([found.pending, found.atLeast]).toEqual([5, true]);
  expect([row("b").pending, row("b").atLeast]).toEqual([0, false]);
  expect(row("c", { ledgers: [] }).pending).toBeNull();
});

test("a search looks for every word in name, labels, kind, versions, harnesses and flags", () => {
  const rows = [
    row("ana", { labels: { team: "web" } }),
    row("bob", {
      labels: { team: "data" },
      flags: [flag("clock_skew", "Off.")],
      ledgers: [ledger({ agent_version: "0.0.1" })],
    }),
  ];
  const find = (words: string, state: string | null = null) => labels(chosen(rows, words, state));
  expect(find("")).toEqual(["ana", "bob"]);
  expect(find("TEAM:WEB")).toEqual(["ana"]);
  expect(find("team=data 0.0.1 claude")).toEqual(["bob"]);
  expect(find("ana 0.0.1")).toEqual([]);
  expect(find("clock is off")).toEqual(["bob"]);
  expect(find("", "clock_skew")).toEqual(["bob"]);
  expect(find("ana", "clock_skew")).toEqual([]);
});

test("states are counted the worst first, flags the most frequent first", () => {
  const skew = flag("clock_skew", "Off.");
  const { states, flags } = counted([
    row("a"),
    row("b", { flags: [skew] }),
    row("c", { state: "diverged", flags: [flag("corrected", "Found."), skew] }),
  ]);
  expect(states.map(({ what, number }) => [what, number])).toEqual([
    ["diverged", 1],
    ["converged", 2],
  ]);
  expect(flags.map(({ what, number }) => [what, number])).toEqual([
    ["clock_skew", 2],
    ["corrected", 1],
  ]);
});

test("no sentence is told twice, and what there is to do about stays so", () => {
  const said = { reason: "They differ.", action: "Nothing, if its agent runs. Else push." };
  const flags = [
    flag("needs_resync", "They differ.", "Nothing, if its agent runs. Else push."),
    flag("corrected", "1 row was lost. They differ.", "Else push."),
    flag("rejected", "2 rows.", "Update the hub."),
    flag("newer_agent", "It is newer.", "Update the hub."),
  ];
  expect(toldOnce({ ...said, flags })).toEqual([
    { flag: "corrected", reason: "1 row was lost.", action: "", toDo: true },
    { flag: "rejected", reason: "2 rows.", action: "Update the hub.", toDo: true },
    { flag: "newer_agent", reason: "It is newer.", action: "", toDo: true },
  ]);
});

test("how far behind the hub is, where that is known", () => {
  expect(lagWords(row("a", {}, "2026-11-22T11:57:00Z"), NOW, "en")).toBe("3 minutes ago");
  expect(lagWords(row("a", { state: "diverged" }), NOW, "en")).toBe("unknown");
  expect(lagWords(row("a", { state: "never" }), NOW, "en")).toBe("nothing yet");
});

test("what a digest proves, what parsers read, what leaves the machine", () => {
  expect(digestWords(ledger({ verdict: "converged" }))).toBe("equal on both sides");
  expect(digestWords(ledger({ verdict: "converged", pending: 3, acked_seq: 1_234 }), "en")).toBe(
    "equal on both sides, as of change 1,234",
  );
  expect(digestWords(ledger({ verdict: "diverged" }))).toBe("the machine's is another one");
  expect(digestWords(ledger({ verdict: null }))).toBe("nothing to compare yet");
  const parsers = { codex: { version: 1, floor: 1 }, claude: { version: 3, floor: 2 }, moon: { version: 1, floor: 1 } };
  expect(parserWords(parsers, { claude: 3, codex: 2 })).toBe(
    "claude 3 (some rows still 2), codex 1 (this hub knows 2), moon 1 (unknown here)",
  );
  expect(parserWords({}, {})).toBe("—");
  expect(policyWords({ project: "hash", os_user: "none", colour: "red" })).toBe(
    "projects as hashes, no users, colour: red",
  );
  expect([null, 1, 90_000, -600].map((seconds) => skewWords(seconds, "en"))).toEqual([
    "—",
    "as the hub's",
    "1 day 1 hour ahead",
    "10 minutes behind",
  ]);
});

test("not reported is not sometimes", () => {
  expect(extentWords(undefined)).toBe("not reported");
  expect(extentWords({ reported: "none", lower_bound: false, derived: false })).toBe("not reported");
  expect(extentWords({ reported: "some", lower_bound: true, derived: true })).toBe("sometimes · ≥ · derived");
});

test("how far an agent is with what it was asked for", () => {
  const words = (about: Partial<DirectiveStatus>) =>
    progressWords({ done: 0, of: 0, ...about } as DirectiveStatus, "en");
  expect(words({ state: "open" })).toBe("waits for the agent's next heartbeat");
  expect(words({ state: "running" })).toBe("running");
  expect(words({ state: "running", done: 1_200, of: 5_000 })).toBe("running: 1,200 of 5,000");
  expect(words({ state: "failed", done: 1, of: 4 })).toBe("failed at 1 of 4");
  expect(words({ state: "done", done: 4, of: 4 })).toBe("done");
});

test("the commands name the root of the app, whatever it is called and wherever it lies", () => {
  expect(hubAddress("https://hub.example/tokens/")).toBe("https://hub.example/tokens");
  expect(hubAddress("http://127.0.0.1:8787/")).toBe("http://127.0.0.1:8787");
  expect(commands("https://h", "tue_x")).toBe("trueup agent enroll https://h --code tue_x\ntrueup agent run");
  expect(["localhost", "127.0.0.1", "127.3.2.1", "[::1]", "hub.localhost"].every(isLoopback)).toBe(true);
  expect(["hub.example", "10.0.0.1", "127.example", "localhost.example"].some(isLoopback)).toBe(false);
});

test("what a reader or this hub cannot do is said, and by whom it could be done", () => {
  expect(whyNot(true, ["hosts.resync"], "hosts.resync")).toBeNull();
  expect(whyNot(false, ["hosts.resync"], "hosts.resync")).toMatch("Only an administrator");
  expect(whyNot(true, [], "hosts.retire", "hosts.forget")).toBe(
    "This hub cannot retire hosts or forget hosts from a page.",
  );
});

test("why the hub did not do it, in one line", () => {
  const words = (status: number, code: string) => problemWords(new HubError(status, code, "The hub's own words."));
  expect(words(0, "unreachable")).toMatch("The hub does not answer");
  expect(words(403, "forbidden")).toMatch("Only an administrator");
  expect(words(401, "unauthorized")).toMatch("sign in again");
  expect(words(409, "retired")).toBe("The hub's own words.");
});

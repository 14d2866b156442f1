import { expect, test } from "vitest";
import { missingFrom } from "../src/lib/missing";
import type { HostTrust, TrustReport } from "../src/lib/types";

const host = (label: string, state: HostTrust["state"], complete: string | null, flags: HostTrust["flags"] = []) =>
  ({ label, state, complete_up_to: complete, action: `mend ${label}`, flags }) as HostTrust;
const report = (...hosts: HostTrust[]) => ({ hosts, to: "2026-11-08", timezone: "UTC" }) as TrustReport;

test("a host that is silent only since after the range misses nothing of it", () => {
  expect(missingFrom(report(host("desk", "silent", "2026-11-09T01:00:00Z")))).toBeNull();
  expect(missingFrom(report(host("desk", "converged", null), host("old", "retired", null)))).toBeNull();
  expect(missingFrom(report(host("desk", "silent", "2026-11-08T23:00:00Z")))).toEqual({
    words: "1 host may have more than is shown: desk (silent).",
    action: "mend desk",
  });
});

test("the most urgent are named first, the others counted", () => {
  const resync = [{ flag: "needs_resync", reason: "", action: "update" }];
  const found = missingFrom(
    report(
      host("a", "converged", "2026-11-22T00:00:00Z", resync),
      host("b", "behind", null),
      host("c", "diverged", null),
      host("d", "never", null),
    ),
  );
  expect(found?.words).toBe(
    "4 hosts may have more than is shown: c (diverged), b (behind), d (nothing yet) and 1 more.",
  );
  expect(missingFrom(report(host("a", "converged", "2026-11-22T00:00:00Z", resync)))).toEqual({
    words: "1 host may have more than is shown: a (needs a resync).",
    action: "update",
  });
});

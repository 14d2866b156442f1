import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { coalesce } from "../src/lib/live";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("the first call runs at once, a burst runs once more, and never two together", async () => {
  let running = 0;
  let most = 0;
  let runs = 0;
  const call = coalesce(async () => {
    runs++;
    most = Math.max(most, ++running);
    await new Promise((done) => setTimeout(done, 20));
    running--;
  });
  call();
  expect(runs).toBe(1);
  for (let i = 0; i < 50; i++) call();
  await vi.advanceTimersByTimeAsync(1_000);
  expect([runs, most]).toEqual([2, 1]);
});

test("a call after the pause runs at once again", async () => {
  let runs = 0;
  const call = coalesce(async () => void runs++, 100);
  call();
  await vi.advanceTimersByTimeAsync(200);
  call();
  expect(runs).toBe(2);
});

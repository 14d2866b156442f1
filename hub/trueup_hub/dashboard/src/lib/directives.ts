/** What an agent was asked for, in words. */

import { exact } from "./format";
import type { DirectiveStatus } from "./types";

/** A kind that only later hubs know is shown by its name. */
export const KIND_WORDS: Record<string, string> = {
  full_push: "Full push",
  push: "Push what is pending",
  repair: "Compare and repair",
  rescan: "Look at all logs again",
};

export function progressWords({ state, done, of }: DirectiveStatus, locale?: string): string {
  const far = of > 0 ? `: ${exact(done, locale)} of ${exact(of, locale)}` : "";
  switch (state) {
    case "open":
      return "waits for the agent's next heartbeat";
    case "running":
      return `running${far}`;
    case "done":
      return "done";
    case "failed":
      return `failed${far && done < of ? ` at ${exact(done, locale)} of ${exact(of, locale)}` : ""}`;
    case "given_up":
      return "given up";
  }
}

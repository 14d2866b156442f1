/** Which machines may have more than is shown, in one sentence. */

import { today } from "./dates";
import { exact, plural } from "./format";
import type { HostTrust, TrustReport } from "./types";
import { byUrgency, STATE_WORDS } from "./words";

const NAMED = 3;
const SURE = ["converged", "retired"];

export interface Missing {
  words: string;
  action: string; // what to do, where it is one machine
}

/** Null where the hub has all that its machines have of these days. */
export function missingFrom({ hosts, to, timezone }: TrustReport, locale?: string): Missing | null {
  const found = byUrgency(hosts.filter((host) => mayHaveMore(host, to, timezone)));
  if (found.length === 0) return null;
  const named = found.slice(0, NAMED).map((host) => `${host.label} (${whatOf(host)})`);
  const others = found.length - named.length;
  const list = others > 0 ? [...named, `${exact(others, locale)} more`] : named;
  const last = list.length > 1 ? ` and ${list.pop()}` : "";
  return {
    words: `${exact(found.length, locale)} ${plural(found.length, "host")} may have more than is shown: ${list.join(", ")}${last}.`,
    action: found.length === 1 && found[0] ? actionOf(found[0]) : "",
  };
}

const resyncOf = ({ flags }: HostTrust) => flags.find(({ flag }) => flag === "needs_resync");

/** What a machine has not sent can only lie after the time up to which it is complete. */
function mayHaveMore(host: HostTrust, lastDay: string, timezone: string): boolean {
  if (resyncOf(host)) return host.state !== "retired";
  if (SURE.includes(host.state)) return false;
  return host.complete_up_to === null || today(timezone, new Date(host.complete_up_to)) <= lastDay;
}

const whatOf = (host: HostTrust): string =>
  SURE.includes(host.state) ? "needs a resync" : STATE_WORDS[host.state].words;

const actionOf = (host: HostTrust): string => (SURE.includes(host.state) && resyncOf(host)?.action) || host.action;

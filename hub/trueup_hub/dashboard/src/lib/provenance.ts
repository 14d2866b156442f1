/** Where a session's numbers come from, in words for those who pay for them. Ids stand beside, for those who look closer. */

import { exact, instant, plural, UNKNOWN } from "./format";
import type { Contribution, Copy } from "./types";
import type { Tone } from "./words";

export interface Said {
  name: string;
  words: string;
  tone: Tone;
}

const requests = (count: number) => `${exact(count)} ${plural(count, "request")}`;

/** Of one copy: what counts of it, whether it is proven, its log, who read it, how it came. */
export function copySays(copy: Copy, newest: number | undefined, timezone: string): Said[] {
  return [counts(copy), proof(copy, timezone), log(copy), reader(copy, newest), way(copy, timezone)];
}

function counts({ events_counted, events_set_aside }: Copy): Said {
  const name = "Counts";
  if (events_set_aside === 0)
    return {
      name,
      tone: "quiet",
      words: events_counted === 0 ? "It has no requests." : `All its ${requests(events_counted)}.`,
    };
  const aside = `${requests(events_set_aside)} set aside: the same ${events_set_aside === 1 ? "one is" : "ones are"} counted from another copy`;
  return {
    name,
    tone: "quiet",
    words: events_counted === 0 ? `Nothing: ${aside}.` : `${requests(events_counted)}; ${aside}.`,
  };
}

function proof({ verdict, converged_at, stale }: Copy, timezone: string): Said {
  const name = "Proof";
  if (stale)
    return {
      name,
      tone: "bad",
      words: "The hub could not accept the newest version of this session: what is shown is older.",
    };
  if (verdict === "converged")
    return {
      name,
      tone: "good",
      words: `The hub had exactly what the machine has, on ${instant(converged_at, timezone)}.`,
    };
  if (verdict === "diverged")
    return {
      name,
      tone: "bad",
      words: "What the hub has is not what the machine has. It is being repaired, or needs a resync.",
    };
  if (verdict === "behind")
    return {
      name,
      tone: "warn",
      words: `The machine has more to send. Last equal: ${converged_at ? instant(converged_at, timezone) : "never"}.`,
    };
  return { name, tone: "quiet", words: "Nothing has been compared yet." };
}

function log({ source_state, source_path }: Copy): Said {
  const name = "Log";
  const place = source_path ? `: ${source_path}` : "";
  if (source_state === "gone")
    return { name, tone: "warn", words: `No longer on the machine; its ledger kept what was in it${place}.` };
  if (source_state === null) return { name, tone: "quiet", words: `Not told of so far${place}.` };
  if (source_state === "present") return { name, tone: "quiet", words: `Still on the machine${place}.` };
  return { name, tone: "quiet", words: `${source_state.replaceAll("_", " ")}${place}.` };
}

function reader({ data_version, agent_version }: Copy, newest: number | undefined): Said {
  const name = "Read by";
  const agent = `agent ${agent_version || UNKNOWN}`;
  if (data_version === null) return { name, tone: "warn", words: `${agent}; the session's own row has not come.` };
  const older = newest !== undefined && data_version < newest;
  return {
    name,
    tone: older ? "warn" : "quiet",
    words: `${agent}, parser data version ${data_version}${older ? `; today's is ${newest}, numbers may change when it is read again` : ""}.`,
  };
}

function way({ batch_no, received_at, generation }: Copy, timezone: string): Said {
  const full = generation === 0 ? "No full push so far" : `Confirmed by full push ${generation}`;
  const came = batch_no === null ? "" : `Batch ${exact(batch_no)}, received ${instant(received_at, timezone)}. `;
  return { name: "Received", tone: "quiet", words: `${came}${full}.` };
}

/** Of a part among those of its session. Names in it are a machine's own: two may not run together to one. */
export const partKey = (part: Contribution): string => {
  const { ledger_id, source_key, harness, provider, model, counted, counts_at } = part;
  return JSON.stringify([ledger_id, source_key, harness, provider, model, counted, counts_at?.ledger_id]);
};

/** Whether a part of the session counts, and whose copy does where it does not. */
export function partCounts(part: Contribution): Said {
  if (part.counted) return { name: "Counts", tone: "good", words: "counts" };
  const instead = part.counts_at ? `the copy on ${part.counts_at.host.label} counts` : "no copy counts yet";
  return { name: "Set aside", tone: part.conflicts > 0 ? "bad" : "quiet", words: `set aside: ${instead}` };
}

/** What one should know of a part, each as a clause; nothing where all is as it should be. */
export function partNotes(part: Contribution, newest: number | undefined): string[] {
  const { times, events } = part;
  const some = (count: number) => (count === events ? "all" : exact(count));
  const notes: string[] = [];
  if (part.conflicts > 0)
    notes.push(
      `${requests(part.conflicts)} ${part.conflicts === 1 ? "tells" : "tell"} other exact numbers than the copy that counts`,
    );
  if (times.session > 0) notes.push(`${some(times.session)} with only the session's time`);
  if (times.file > 0) notes.push(`${some(times.file)} with only the log file's time`);
  if (part.clock_skew > 0) notes.push(`${some(part.clock_skew)} dated ahead of the machine's clock`);
  if (part.old_data > 0) notes.push(`${some(part.old_data)} read by an older parser, and the log is gone`);
  else if (newest !== undefined && part.data_versions.some((version) => version < newest))
    notes.push(`read by data version ${part.data_versions.join(", ")}; today's is ${newest}`);
  if (part.unstated > 0) notes.push(`${some(part.unstated)} with zeros of unknown meaning, shown as ${UNKNOWN}`);
  return notes;
}

/** Of which day the prices are; more than one where a later table priced some of it. */
export const pricedBy = (part: Contribution): string =>
  part.prices.length === 0 ? "not priced" : [...new Set(part.prices.map(({ date }) => date))].join(", ");

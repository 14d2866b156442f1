/**
 * What the reader wants to see, brought to what the hub can be asked: by its `/capabilities`, before anything is sent.
 * The rules are those of trueup_shared/selection.py, and both are held to tests/golden/selection.json: hubs of all
 * releases are understood, nothing is put back in silence.
 */

import { listed } from "./api";
import { daysBetween, isDay } from "./dates";

export type Values = Record<string, string[]>;

/** `instead`: what is asked now, empty = nothing. `reason`: a clause in words. */
export interface Change {
  parameter: string;
  wanted: string[];
  instead: string[];
  reason: string;
}

/** What may be sent. `endpoint` null: nothing, this hub does not have it. `values`: with the metric to show. */
export interface Coerced {
  endpoint: string | null;
  values: Values;
  query: [string, string][];
  changes: Change[];
}

interface Parameter {
  kind?: string;
  choices?: unknown;
  lowest?: unknown;
  highest?: unknown;
  default?: unknown;
  needed?: unknown;
}
type Hub = Record<string, unknown>;
type Takes = Record<string, Parameter>;

const LABEL = "label:";
const DAYS = ["2015-01-02", "2100-12-30"];
const USUAL_METRIC = "total_tokens";
const LISTS_BEFORE = ["host", "harness", "project", "model", "provider", "label"];
const KIND_BEFORE: Record<string, string> = { from: "day", to: "day", timezone: "zone" };

/** `usual`: the page's own defaults, which stand in for what is not there before those of the hub do. */
export function coerce(
  capabilities: object,
  endpoint: string,
  wanted: Values,
  usual: Record<string, string> = {},
): Coerced {
  const hub = capabilities as Hub;
  const nothing = (changes: Change[]): Coerced => ({ endpoint: null, values: {}, query: [], changes });
  const takes = takesOf(hub, endpoint);
  if (!takes)
    return nothing([
      { parameter: "endpoint", wanted: [endpoint], instead: [], reason: `this hub does not have ${endpoint}` },
    ]);
  const fit = new Fit(hub, endpoint, takes, usual);
  for (const [name, given] of Object.entries(wanted)) fit.take(name, given);
  if (!fit.complete()) return nothing(fit.changes);
  fit.checkRange();
  fit.checkSize();
  fit.checkCursor();
  const query: [string, string][] = [];
  for (const [name, given] of fit.kept) {
    const parameter = takes[name];
    if (parameter) for (const value of given) query.push([name, parameter.kind === "list" ? listed(value) : value]);
  }
  return { endpoint, values: Object.fromEntries(fit.kept), query, changes: fit.changes };
}

/** Why a metric that the hub has would be unknown everywhere; null where some harness reports it, or nobody can tell. */
export function whyUnknown(capabilities: object, metric: string, harnesses: string[] = []): string | null {
  const told = mapping((capabilities as Hub)["harnesses"]);
  const speaking = (harnesses.length ? harnesses : Object.keys(told)).filter(
    (name) => Object.keys(mapping(told[name])).length > 0,
  );
  const extents = speaking.map((name) => mapping(mapping(told[name])[metric])["reported"]);
  if (extents.length === 0 || extents.some((extent) => extent !== "none")) return null;
  const names = speaking.map((name) => name || "unknown").sort();
  return `${metric} is not reported by ${names.join(", ")}`;
}

class Fit {
  readonly kept = new Map<string, string[]>();
  readonly changes: Change[] = [];

  constructor(
    readonly hub: Hub,
    readonly endpoint: string,
    readonly takes: Takes,
    readonly usual: Record<string, string>,
  ) {}

  /** One parameter. What cannot be sent at all is left out of it first. */
  take(name: string, given: string[]): void {
    const parameter = this.#parameter(name);
    if (!parameter) return this.#put(name, given, [], `this hub does not take ${name} for ${this.endpoint}`);
    const sound = given.filter(canBeSent);
    if (sound.length < given.length)
      this.#change(
        name,
        given.filter((value) => !canBeSent(value)),
        [],
        `${name} has a character that cannot be sent`,
      );
    if (parameter.kind === "list") this.#takeList(name, [...new Set(sound)]);
    else if (sound.length) {
      if (sound.length > 1) this.#change(name, sound.slice(1), sound.slice(0, 1), `${name} can be only one at a time`);
      this.#takeOne(name, parameter, sound[0] as string);
    }
  }

  /** Parameters that are needed have a value; false = this hub offers none. */
  complete(): boolean {
    for (const [name, parameter] of Object.entries(this.takes)) {
      if (!parameter.needed || this.kept.has(name)) continue;
      const instead = standIn(parameter, this.usual[name]);
      this.#put(name, [], instead, `${name} is needed for ${this.endpoint}`);
      if (instead.length === 0) return false;
    }
    return true;
  }

  checkRange(): void {
    const [first, last] = [this.kept.get("from"), this.kept.get("to")];
    if (!first || !last || String(first) <= String(last)) return;
    for (const name of ["from", "to"])
      this.#put(name, this.kept.get(name) ?? [], [], `${first[0]} is after ${last[0]}`);
  }

  /** Where the range tells that an answer would be refused for its length, the first step that is not. */
  checkSize(): void {
    const limit = mapping(this.hub["limits"])["activity_points"];
    const [step, first, last] = ["granularity", "from", "to"].map((name) => this.kept.get(name)?.[0]);
    if (!step || !first || !last || typeof limit !== "number") return;
    const days = daysBetween(first, last) + 1;
    if (points(days, step) <= limit) return;
    const fits = (one: string) => points(days, one) > 0 && points(days, one) <= limit;
    const instead = texts(this.takes["granularity"]?.choices).find(fits);
    if (instead) this.#put("granularity", [step], [instead], `${points(days, step)} points are more than ${limit}`);
  }

  checkCursor(): void {
    const cursor = this.kept.get("cursor");
    if (this.changes.length && cursor) this.#put("cursor", cursor, [], "the cursor belongs to another list");
  }

  #parameter(name: string): Parameter | undefined {
    const found = own(this.takes, name);
    if (name !== "metric" || found) return found;
    // Not asked for, but chosen out of the answer
    const choices = metricsOf(this.hub, this.endpoint);
    return choices.length ? { kind: "choice", choices, needed: true } : undefined;
  }

  #takeOne(name: string, parameter: Parameter, value: string): void {
    const reason = this.#whyNot(name, parameter, value);
    if (reason === null) {
      this.kept.set(name, [value]);
      return;
    }
    const near = nearest(parameter, value);
    this.#put(name, [value], near.length ? near : standIn(parameter, this.usual[name]), reason);
  }

  /** null = it can be asked for; one of a kind that only later hubs know is sent as it is. */
  #whyNot(name: string, parameter: Parameter, value: string): string | null {
    switch (parameter.kind) {
      case "choice":
        return this.#notAChoice(name, parameter, value);
      case "dimension": {
        if (!value.startsWith(LABEL) || value === LABEL) return this.#notAChoice(name, parameter, value);
        const [labels, label] = [known(this.hub, "label"), value.slice(LABEL.length)];
        return !labels || labels.has(`${label}:`) ? null : `this hub knows no label “${shown(label)}”`;
      }
      case "whole": {
        const [lowest, highest] = bounds(parameter);
        const inside = isNumber(value) && Number(value) >= lowest && Number(value) <= highest;
        return inside ? null : `“${shown(value)}” is not a whole number from ${lowest} to ${highest}`;
      }
      case "day": {
        const told = texts(this.hub["days"]);
        const [first, last] = (told.length === 2 ? told : DAYS) as [string, string];
        const inside = isDay(value) && first <= value && value <= last;
        return inside ? null : `“${shown(value)}” is not a date from ${first} to ${last}`;
      }
      case "zone":
        return isTimezone(value) ? null : `“${shown(value)}” is not a time zone`;
      default:
        return null;
    }
  }

  #notAChoice(name: string, parameter: Parameter, value: string): string | null {
    const offered = texts(parameter.choices).includes(value);
    return offered ? null : `this hub does not have ${name}=${shown(value)} for ${this.endpoint}`;
  }

  #takeList(name: string, given: string[]): void {
    const values = known(this.hub, name);
    const kept: string[] = [];
    for (const value of given) {
      if (name === "label" && !/^[^:]+:/s.test(value))
        this.#change(name, [value], [], `“${shown(value)}” is not NAME:VALUE`);
      else if (values && !values.has(value) && !(name === "host" && values.has(value.toLowerCase())))
        this.#change(name, [value], [], `this hub knows no ${name} “${shown(value)}”`);
      else kept.push(value);
    }
    if (kept.length) this.kept.set(name, kept);
  }

  #put(name: string, wanted: string[], instead: string[], reason: string): void {
    this.kept.delete(name);
    if (instead.length) this.kept.set(name, instead);
    this.#change(name, wanted, instead, reason);
  }

  #change(parameter: string, wanted: string[], instead: string[], reason: string): void {
    this.changes.push({ parameter, wanted, instead, reason });
  }
}

/** Parameters of an endpoint, null = this hub does not have it. */
function takesOf(hub: Hub, endpoint: string): Takes | null {
  const routes = hub["routes"];
  if (!isMapping(routes)) return takesBefore(hub, endpoint);
  const found = own(routes, endpoint);
  if (!isMapping(found)) return null;
  return Object.fromEntries(Object.entries(found).filter(([, parameter]) => isMapping(parameter))) as Takes;
}

/** Of hubs before 0.2, which told only their common parameters by name. */
function takesBefore(hub: Hub, endpoint: string): Takes | null {
  const [features, limits] = [texts(hub["features"]), mapping(hub["limits"])];
  if (!features.includes(endpoint.replaceAll("/", ".")) || endpoint === "hosts" || endpoint === "events") return null;
  const dimensions = { kind: "choice", choices: texts(hub["group_by"]) };
  const metric = { kind: "choice", choices: metricsOf(hub, endpoint), default: USUAL_METRIC };
  const limit = (highest: unknown, standard: number): Parameter => {
    const most = typeof highest === "number" ? highest : standard;
    return { kind: "whole", lowest: 1, highest: most, default: Math.min(standard, most) };
  };
  const ownOnes: Record<string, Takes> = {
    "analytics/activity": {
      granularity: { kind: "choice", choices: texts(hub["granularities"]), default: "day" },
      group_by: dimensions,
    },
    "analytics/heatmap": { metric },
    "analytics/top-sessions": { metric, limit: limit(limits["top_sessions"], 10) },
    "analytics/breakdown": { by: { ...dimensions, needed: true } },
    sessions: {
      sort: { kind: "choice", choices: texts(hub["sorts"]), default: "started_at" },
      order: { kind: "choice", choices: ["desc", "asc"], default: "desc" },
      limit: limit(limits["sessions"], 50),
      cursor: { kind: "text" },
    },
  };
  const takes: Takes = ownOnes[endpoint] ?? {};
  for (const name of texts(hub["parameters"]))
    takes[name] = { kind: LISTS_BEFORE.includes(name) ? "list" : (KIND_BEFORE[name] ?? "text") };
  if (takes["counted"]) takes["counted"] = { kind: "choice", choices: texts(hub["counted"]), default: "once" };
  if (features.includes("csv")) takes["format"] = { kind: "choice", choices: ["json", "csv"], default: "json" };
  return takes;
}

export const metricsOf = (hub: object, endpoint: string): string[] =>
  texts(own(mapping((hub as Hub)["metrics"]), endpoint.slice(endpoint.lastIndexOf("/") + 1)));

/** Values of a filter, where the hub lists all of them. */
function known(hub: Hub, name: string): Set<string> | null {
  const values = own(mapping(hub["values"]), name);
  return Array.isArray(values) ? new Set(texts(values)) : null;
}

/** What stands in for a value: the page's, the hub's default; else, where something must be there, a choice. */
function standIn(parameter: Parameter, usual: string | undefined): string[] {
  const [standard, choices] = [parameter.default ?? null, texts(parameter.choices)];
  if (usual !== undefined && choices.includes(usual)) return [usual];
  if (standard !== null && (choices.length === 0 || choices.includes(String(standard)))) return [String(standard)];
  if (choices.length === 0 || (standard === null && !parameter.needed)) return [];
  return [choices.includes(USUAL_METRIC) ? USUAL_METRIC : (choices[0] as string)];
}

/** Of a number that is out of bounds. */
function nearest(parameter: Parameter, value: string): string[] {
  if (parameter.kind !== "whole" || !isNumber(value)) return [];
  const [lowest, highest] = bounds(parameter);
  return [String(Math.min(Math.max(Number(value), lowest), highest))];
}

function bounds(parameter: Parameter): [number, number] {
  const number = (value: unknown) => (typeof value === "number" ? value : 0);
  return [number(parameter.lowest), number(parameter.highest)];
}

/** As the hub reckons before it looks; 0 for a step that is not known here. */
function points(days: number, step: string): number {
  const steps: Record<string, number> = { hour: 24 * days, day: days, week: days / 7, month: days / 31 };
  return Math.floor(steps[step] ?? 0);
}

/** As the IANA list has it; browsers also take other spellings and bare offsets. */
export function isTimezone(name: string): boolean {
  if (!/^[A-Z][\w+-]*(\/[A-Z][\w+-]*)*$/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

const canBeSent = (value: string): boolean => !value.includes("\0") && !/\p{Surrogate}/u.test(value);
const isNumber = (value: string): boolean => /^\d{1,9}$/.test(value);
const isMapping = (value: unknown): value is Hub =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const mapping = (value: unknown): Hub => (isMapping(value) ? value : {});
const own = <T>(record: Record<string, T>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];

export function shown(value: string): string {
  const characters = [...value];
  return characters.length <= 60 ? value : `${characters.slice(0, 60).join("")}…`;
}

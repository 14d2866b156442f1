/** The hub's API. Addresses are relative to the page, which may lie below a path prefix; the cookie is the session's. */

import type { Login, Problem } from "./types";

export class HubError extends Error {
  constructor(
    readonly status: number, // 0 = the hub could not be reached
    readonly code: string,
    message: string,
    readonly about: { parameter: string; values: string[] } | null = null, // what of the question it cannot take
  ) {
    super(message);
  }
}

export type Query = Record<string, string | string[] | null | undefined>;

export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== null && one !== undefined) search.append(name, one);
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

/** A value in a parameter that takes several: the API separates them by commas, quoted as in CSV. */
export const listed = (value: string): string => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  const reply = await send(address(`api/v1/${path}`, query), {
    headers: { Accept: "application/json" },
    ...(signal ? { signal } : {}),
  });
  return (await reply.json()) as T;
}

/** Have the hub change something. The origin that it checks and the cookie are the browser's to send. */
export async function change<T>(method: "POST" | "PATCH" | "DELETE", path: string, body?: object): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  const reply = await send(`api/v1/${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  return (await reply.json()) as T;
}

/** Exchange a token for the session cookie. */
export async function logIn(token: string): Promise<void> {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  await send("api/v1/login", { method: "POST", headers, body: JSON.stringify({ token } satisfies Login) });
}

export async function logOut(): Promise<void> {
  await send("api/v1/logout", { method: "POST", headers: { Accept: "application/json" } });
}

async function send(url: string, init: RequestInit): Promise<Response> {
  let reply: Response;
  try {
    reply = await fetch(url, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new HubError(0, "unreachable", "The hub does not answer.");
  }
  if (reply.ok) return reply;
  const problem = await readProblem(reply);
  throw new HubError(
    reply.status,
    problem.code ?? "",
    problem.detail ?? problem.title ?? `The hub answered ${reply.status}.`,
    problem.parameter && Array.isArray(problem.values)
      ? { parameter: problem.parameter, values: problem.values }
      : null,
  );
}

type Told = Partial<Problem> & { parameter?: string; values?: string[] };

async function readProblem(reply: Response): Promise<Told> {
  try {
    const body: unknown = await reply.json();
    return body && typeof body === "object" ? (body as Told) : {};
  } catch {
    return {};
  }
}

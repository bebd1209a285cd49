import createClient from "openapi-fetch";
import type { components, paths } from "./schema";
import { noteServiceTime } from "./clock";
import { words } from "./words";

export type Schemas = components["schemas"];
export type Image = Schemas["Image"];
export type Photo = Schemas["Photo"];
export type Upload = Schemas["Upload"];
export type Visibility = Image["visibility"];
export type ImageStatus = Image["status"];
export type Link = Schemas["Link"];
export type Plan = Schemas["Plan"];
export type User = Schemas["User"];
export type Job = Schemas["Job"];
export type Me = Schemas["Me"];

/** An answer that is not a success, or no answer: then `status` is 0 and `code` is `offline`. */
export class ApiError extends Error {
  override name = "ApiError";
  constructor(
    readonly status: number,
    /** The stable code of the problem document. */
    readonly code: string,
    /** A sentence for the user. */
    message: string,
    /** The message of each invalid field, by the field's name in the request. */
    readonly fields: Record<string, string> = {},
  ) {
    super(message);
  }
}

interface ApiAnswer {
  data?: unknown;
  error?: unknown;
  response: Response;
}

type Data<A> = A extends { data: infer D } ? Exclude<D, undefined> : never;

/** Returns the data of an answer, or throws an `ApiError`: `await ask(api.GET("/api/me"))`. */
export async function ask<A extends ApiAnswer>(answer: Promise<A>): Promise<Data<A>> {
  const { data, error, response } = await answer;
  if (!response.ok) throw toApiError(response, error);
  return data as Data<A>;
}

/** As `ask`, with the response, for its headers. */
export async function askWithResponse<A extends ApiAnswer>(
  answer: Promise<A>,
): Promise<{ data: Data<A>; response: Response }> {
  const { data, error, response } = await answer;
  if (!response.ok) throw toApiError(response, error);
  return { data: data as Data<A>, response };
}

export function toApiError(response: Response, body: unknown): ApiError {
  const problem = (typeof body === "object" && body !== null ? body : {}) as Partial<Schemas["Problem"]>;
  const fields: Record<string, string> = {};
  for (const { field, message } of problem.errors ?? []) fields[field] ??= message;
  const code = problem.code ?? (response.status === 401 ? "unauthorized" : "unknown");
  return new ApiError(response.status, code, problem.detail ?? words.errors.status(response.status), fields);
}

/** The sentence that tells the user of an error. */
export function errorText(error: unknown): string {
  return error instanceof ApiError ? error.message : words.errors.unexpected;
}

/** True if the request was cancelled, which is not an error to show. */
export function isAborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

const MAX_WAITS = 8;
const MAX_WAIT_SECONDS = 60;

export async function fetchOnce(request: Request): Promise<Response> {
  try {
    const response = await fetch(request);
    noteServiceTime(response.headers.get("Date"));
    return response;
  } catch (error) {
    if (isAborted(error)) throw error;
    throw new ApiError(0, "offline", words.errors.offline);
  }
}

/**
 * Sends a request again when the service asks to wait (429, 503), for as long as its `Retry-After` says. A wait that is
 * longer than `patience` milliseconds is refused.
 */
export async function fetchPatiently(request: Request, patience = Infinity): Promise<Response> {
  for (let waits = 0; ; waits++) {
    const response = await fetchOnce(request.clone());
    if ((response.status !== 429 && response.status !== 503) || waits >= MAX_WAITS) return response;
    const delay = retryDelay(response.headers.get("Retry-After"), waits);
    if (delay > patience) return response;
    await wait(delay, request.signal);
  }
}

/** Milliseconds to wait before the next try: `Retry-After` in seconds or as a date, else growing from half a second. */
export function retryDelay(retryAfter: string | null, waits: number, now = Date.now()): number {
  const seconds = retryAfter === null || retryAfter.trim() === "" ? NaN : Number(retryAfter);
  const until = Number.isNaN(seconds) && retryAfter !== null ? (Date.parse(retryAfter) - now) / 1000 : seconds;
  const wanted = Number.isNaN(until) ? 0.5 * 2 ** waits : until;
  return Math.min(Math.max(wanted, 0.1), MAX_WAIT_SECONDS) * 1000;
}

export function wait(milliseconds: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = () => {
      clearTimeout(timer);
      reject(new DOMException("Aborted", "AbortError"));
    };
    if (signal?.aborted) return reject(new DOMException("Aborted", "AbortError"));
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

/** Calls without a token: what everybody may see, and logging in. */
export const anonymousApi = createClient<paths>({
  baseUrl: location.origin,
  fetch: (request) => fetchPatiently(request),
});

/** Milliseconds that a form with a code or a password waits: after too many attempts the service asks for a minute. */
const FORM_PATIENCE = 5000;

/** Calls of forms that are sent without a token. */
export const formApi = createClient<paths>({
  baseUrl: location.origin,
  fetch: (request) => fetchPatiently(request, FORM_PATIENCE),
});

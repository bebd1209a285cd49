import createClient from "openapi-fetch";
import { fetchOnce, fetchPatiently, type Schemas } from "./http";
import type { paths } from "./schema";
import { session } from "./session.svelte";

export * from "./http";

/**
 * Sends a request as the current user. A refused access token is renewed once. The end of the session, or another
 * user's login, aborts the request: none is sent with another user's token, and no answer comes after the logout.
 */
async function fetchAsUser(request: Request, fetchIt: (request: Request) => Promise<Response>): Promise<Response> {
  await session.started;
  const { signal } = session;
  const send = (token: string | null) => {
    const headers = new Headers(request.headers);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    return fetchIt(new Request(request.clone(), { headers, signal: AbortSignal.any([request.signal, signal]) }));
  };
  const token = session.token;
  const response = await send(token);
  if (!session.isLoggedIn || !(await refusesToken(response))) return response;
  const renewed = await session.renew(token);
  if (signal.aborted) throw new DOMException("Aborted", "AbortError");
  return renewed ? send(session.token) : response;
}

/** False for a 401 that answers a wrong password. */
async function refusesToken(response: Response): Promise<boolean> {
  if (response.status !== 401) return false;
  const problem = (await response
    .clone()
    .json()
    .catch(() => ({}))) as Partial<Schemas["Problem"]>;
  return problem.code !== "bad_credentials";
}

/** Calls as the current user, where there is one. */
export const api = createClient<paths>({
  baseUrl: location.origin,
  fetch: (request) => fetchAsUser(request, (request) => fetchPatiently(request)),
});

/** The same, for callers that wait themselves when the service asks for it. */
export const impatientApi = createClient<paths>({
  baseUrl: location.origin,
  fetch: (request) => fetchAsUser(request, fetchOnce),
});

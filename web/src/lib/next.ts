/** The address within this site to go to after the login, from `?next=`. */
export function nextPath(query: URLSearchParams, origin = location.origin): string | null {
  const next = query.get("next");
  if (!next?.startsWith("/") || !URL.canParse(next, origin)) return null;
  // A browser reads "//host" and "/\host" as another host.
  const url = new URL(next, origin);
  return url.origin === origin ? url.pathname + url.search + url.hash : null;
}

/** The address of a page on the way to the login, such as /signup, which keeps where to go afterwards. */
export function onTheWay(path: string, query: URLSearchParams): string {
  const next = query.get("next");
  return next === null ? path : `${path}?next=${encodeURIComponent(next)}`;
}

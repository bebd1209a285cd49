import { Feed } from "../grid/feed.svelte";
import { api, ask, type ImageStatus, type Visibility } from "../lib/api";
import { deletions } from "./deletions";
import { session } from "../lib/session.svelte";

export interface Filter {
  visibility: Visibility | "";
  status: ImageStatus | "";
  titlePrefix: string;
}

const VISIBILITIES = ["public", "private"] as const;
const STATUSES = ["pending", "processing", "ready", "rejected"] as const;

/** Lists that are kept, so that Back shows the same row. */
const KEPT = 5;
const PAGE = 100;

export function readFilter(query: URLSearchParams): Filter {
  return {
    visibility: VISIBILITIES.find((value) => value === query.get("visibility")) ?? "",
    status: STATUSES.find((value) => value === query.get("status")) ?? "",
    titlePrefix: query.get("search") ?? "",
  };
}

export function writeFilter({ visibility, status, titlePrefix }: Filter): string {
  const query = new URLSearchParams();
  if (visibility) query.set("visibility", visibility);
  if (status) query.set("status", status);
  if (titlePrefix) query.set("search", titlePrefix);
  return query.toString();
}

async function readPage(filter: Filter, cursor: string | undefined, signal?: AbortSignal) {
  const query = {
    limit: PAGE,
    ...(cursor === undefined ? {} : { cursor }),
    ...(filter.visibility && { visibility: filter.visibility }),
    ...(filter.status && { status: filter.status }),
    ...(filter.titlePrefix && { title_prefix: filter.titlePrefix }),
  };
  const { results, next_cursor = null } = await ask(api.GET("/api/images", { params: { query }, signal }));
  // The list that is shown is one that the service will give once the deletion is sent.
  return { results: results.filter(({ id }) => !deletions.has(id)), next_cursor };
}

const feeds = new Map<string, Feed>();
session.onEnd(() => {
  for (const feed of feeds.values()) feed.clear();
  feeds.clear();
});

/** The list of the user's images under a filter. It was read before if `known`. */
export function feedOf(filter: Filter): { feed: Feed; known: boolean } {
  const key = writeFilter(filter);
  const before = feeds.get(key);
  const feed = before ?? new Feed((cursor, signal) => readPage(filter, cursor, signal));
  feeds.delete(key);
  feeds.set(key, feed);
  for (const oldest of [...feeds.keys()].slice(0, -KEPT)) feeds.delete(oldest);
  return { feed, known: before !== undefined };
}

/** Drops the other lists, which a change of images has made untrue. */
export function keepOnly(feed: Feed): void {
  for (const [key, other] of feeds) if (other !== feed) feeds.delete(key);
}

/** Takes up what is new at the head of a list, and what has changed there. */
export async function refresh(feed: Feed, filter: Filter): Promise<void> {
  const { results } = await readPage(filter, undefined);
  const known = new Map(feed.items.map((image) => [image.id, image]));
  for (const image of results) {
    const before = known.get(image.id);
    const isNewer = before && image.updated_at >= before.updated_at;
    if (isNewer && before.updated_at + before.status !== image.updated_at + image.status) feed.update(image);
  }
  // Images become ready in any order, so one that is new under a filter may be older than what is there.
  feed.insert(results.filter(({ id }) => !known.has(id)));
}

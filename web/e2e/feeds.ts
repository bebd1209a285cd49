import type { Page } from "@playwright/test";
import type { Image } from "../src/lib/http";
import type { TestUser } from "./fixtures";

interface Shape {
  /** Images in each answer. */
  pageSize?: number;
  list?: "explore" | "images";
  /** Gives each image URLs of its own, which the service does not have. */
  distinct?: boolean;
  /** Leaves out all that tiles do without. */
  bare?: boolean;
}

/**
 * Answers requests for a list with more images than a local stack holds: those of a user, over and over, each with an id
 * and a title of its own.
 */
export async function longFeed(
  page: Page,
  artist: TestUser,
  count: number,
  { pageSize = 100, list = "explore", distinct = false, bare = false }: Shape = {},
): Promise<void> {
  const { results } = await artist.call<{ results: Image[] }>("/api/images");
  await page.route(new RegExp(`/api/${list}(\\?|$)`), async (route) => {
    const start = Number(new URL(route.request().url()).searchParams.get("cursor") ?? 0);
    const end = Math.min(start + pageSize, count);
    const images = Array.from({ length: end - start }, (_, at) => {
      const number = start + at;
      if (bare)
        return {
          id: `synthetic${number}`,
          title: `Image ${number}`,
          width: 3 + (number % 5),
          height: 4,
          thumbnails: [],
        };
      const { thumbnails = [], ...image } = results[(number * 7) % results.length] ?? {};
      const own = distinct
        ? thumbnails.map((thumbnail) => ({ ...thumbnail, url: `${thumbnail.url}?${number}` }))
        : thumbnails;
      return { ...image, thumbnails: own, id: `synthetic${number}`, title: `Image ${number}` };
    });
    await route.fulfill({ json: { results: images, next_cursor: end < count ? String(end) : null } });
  });
}

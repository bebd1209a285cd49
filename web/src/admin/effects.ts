import { formatBytes, formatNumber } from "../lib/format";
import type { Plan } from "../lib/http";
import { words } from "../lib/words";

type Rights = Omit<Plan, "name">;

const { effects } = words.admin;

/** Returns a sentence for each right that differs between two plans. Null is no plan. */
export function describeChange(before: Rights | null, after: Rights | null): string[] {
  const text: string[] = [];
  const old = before?.thumbnail_heights ?? [];
  const next = after?.thumbnail_heights ?? [];
  const added = next.filter((height) => !old.includes(height));
  const removed = old.filter((height) => !next.includes(height));
  if (added.length > 0) text.push(effects.addHeights(heightsText(added)));
  if (removed.length > 0) {
    text.push(next.length > 0 ? effects.removeHeights(heightsText(removed)) : effects.removeAllThumbnails);
  }
  const had = { webp_thumbnails: false, original_link: false, expiring_links: false, ...before };
  const has = { webp_thumbnails: false, original_link: false, expiring_links: false, ...after };
  if (has.webp_thumbnails !== had.webp_thumbnails)
    text.push(has.webp_thumbnails ? effects.addWebP : effects.removeWebP);
  if (has.original_link !== had.original_link) {
    text.push(has.original_link ? effects.addOriginals : effects.removeOriginals);
  }
  if (has.expiring_links !== had.expiring_links) text.push(has.expiring_links ? effects.addLinks : effects.removeLinks);
  if (!after) {
    if (before) text.push(effects.toNone);
    return text;
  }
  const bytes = before?.max_image_bytes ?? 0;
  const images = before?.max_images ?? 0;
  if (after.max_image_bytes !== bytes) {
    const more = after.max_image_bytes > bytes;
    text.push((more ? effects.moreBytes : effects.lessBytes)(formatBytes(after.max_image_bytes)));
  }
  if (after.max_images !== images) {
    text.push((after.max_images > images ? effects.moreImages : effects.lessImages)(formatNumber(after.max_images)));
  }
  return text;
}

export function heightsText(heights: readonly number[]): string {
  return heights.join(", ");
}

/** The heights in a text such as "400, 200", ascending and each once, or null if it is something else. */
export function parseHeights(text: string): number[] | null {
  const parts = text.split(/[\s,;]+/).filter(Boolean);
  if (!parts.every((part) => /^\d{1,9}$/.test(part))) return null;
  return [...new Set(parts.map(Number))].sort((a, b) => a - b);
}

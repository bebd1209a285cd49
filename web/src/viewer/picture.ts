import type { Image } from "../lib/http";

export interface Picture {
  src: string;
  /** A smaller picture, shown until `src` is there. */
  preview?: string;
  width: number;
  height: number;
}

/** Content types that every supported browser can show. */
const SHOWN = new Set(["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "image/bmp"]);
/** How much a thumbnail is enlarged where there is no original. */
const MAX_ENLARGEMENT = 3;

/** The best picture of an image: the original where its plan includes it, or the largest thumbnail. Null if neither. */
export function bestPicture(image: Image): Picture | null {
  const width = image.width ?? 0;
  const height = image.height ?? 0;
  const largest = [...image.thumbnails].sort((a, b) => b.height - a.height)[0];
  if (image.image_url && SHOWN.has(image.content_type) && width > 0 && height > 0) {
    return { src: image.image_url, preview: largest?.url, width, height };
  }
  if (!largest) return null;
  const scale = Math.min(MAX_ENLARGEMENT, Math.max(1, height / largest.height));
  return { src: largest.url, width: Math.round(largest.width * scale), height: Math.round(largest.height * scale) };
}

import { thumbHashToRGBA } from "thumbhash";

interface Thumbnail {
  height: number;
  url: string;
}

/** The smallest thumbnail that is as high as the tile in pixels of the screen, or the largest there is. */
export function pickThumbnail<T extends Thumbnail>(thumbnails: readonly T[], height: number): T | undefined {
  const ascending = [...thumbnails].sort((a, b) => a.height - b.height);
  return ascending.find((thumbnail) => thumbnail.height >= height) ?? ascending.at(-1);
}

/** Pixels of a placeholder, or null if it is malformed. */
export function decodePlaceholder(base64: string): { width: number; height: number; pixels: Uint8ClampedArray } | null {
  try {
    const hash = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    if (hash.length < 5 || hash.length > 64) return null;
    const { w, h, rgba } = thumbHashToRGBA(hash);
    if (!(w >= 1 && h >= 1) || rgba.length !== w * h * 4) return null;
    return { width: w, height: h, pixels: new Uint8ClampedArray(rgba) };
  } catch {
    return null;
  }
}

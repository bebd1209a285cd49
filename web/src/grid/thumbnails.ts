import { thumbHashToAverageRGBA, thumbHashToRGBA } from "thumbhash";

interface Thumbnail {
  height: number;
  url: string;
}

/** The smallest thumbnail that is as high as the tile in pixels of the screen, or the largest there is. */
export function pickThumbnail<T extends Thumbnail>(thumbnails: readonly T[], height: number): T | undefined {
  const ascending = [...thumbnails].sort((a, b) => a.height - b.height);
  return ascending.find((thumbnail) => thumbnail.height >= height) ?? ascending.at(-1);
}

/** The average colour of a placeholder as CSS, which costs little; undefined if it is malformed. */
export function averageColour(base64: string): string | undefined {
  try {
    const { r, g, b } = thumbHashToAverageRGBA(bytesOf(base64));
    const channels = [r, g, b].map((share) => Math.round(share * 255));
    return channels.every((value) => value >= 0 && value <= 255) ? `rgb(${channels.join(" ")})` : undefined;
  } catch {
    return undefined;
  }
}

/** Pixels of a placeholder, or null if it is malformed. */
export function decodePlaceholder(base64: string): { width: number; height: number; pixels: Uint8ClampedArray } | null {
  try {
    const hash = bytesOf(base64);
    if (hash.length < 5 || hash.length > 64) return null;
    const { w, h, rgba } = thumbHashToRGBA(hash);
    if (!(w >= 1 && h >= 1) || rgba.length !== w * h * 4) return null;
    return { width: w, height: h, pixels: new Uint8ClampedArray(rgba) };
  } catch {
    return null;
  }
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

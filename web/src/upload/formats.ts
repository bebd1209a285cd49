/** Detects a file's format by its name or by its first bytes. */

import type { Image } from "../lib/http";

/** Bytes that `sniff` needs at most. */
export const HEAD_BYTES = 64;

export interface Format {
  /** The format's usual name. */
  name: string;
  /** Absent for formats that are not images. */
  type?: string;
  kind: "image" | "raw" | "video" | "other";
}

const image = (name: string, type: string): Format => ({ name, type, kind: "image" });
const raw: Format = { name: "RAW", kind: "raw" };
const video: Format = { name: "Video", kind: "video" };

const JPEG = image("JPEG", "image/jpeg");
const PNG = image("PNG", "image/png");
const WEBP = image("WebP", "image/webp");
const GIF = image("GIF", "image/gif");
const HEIC = image("HEIC", "image/heic");
const AVIF = image("AVIF", "image/avif");
const JXL = image("JPEG XL", "image/jxl");
const TIFF = image("TIFF", "image/tiff");
const BMP = image("BMP", "image/bmp");
const SVG = image("SVG", "image/svg+xml");
const JP2 = image("JPEG 2000", "image/jp2");
/** The formats of the types that the service accepts, in the order of the API's document. */
const ACCEPTED: Record<Image["content_type"], Format> = {
  "image/jpeg": JPEG,
  "image/png": PNG,
  "image/webp": WEBP,
  "image/gif": GIF,
  "image/tiff": TIFF,
  "image/bmp": BMP,
  "image/heic": HEIC,
  "image/avif": AVIF,
};
export const ACCEPTED_TYPES: readonly string[] = Object.keys(ACCEPTED);

/** The names of content types: of all that the service accepts, unless they are given. */
export function namesOf(types: readonly string[] = ACCEPTED_TYPES): string[] {
  return types.flatMap((type) => Object.values(ACCEPTED).find((format) => format.type === type)?.name ?? []);
}

const PSD: Format = { name: "Photoshop", kind: "other" };
const PDF: Format = { name: "PDF", kind: "other" };

const BY_EXTENSION = new Map<string, Format>();
const named = (extensions: string, format: Format): void => {
  for (const extension of extensions.split(" ")) BY_EXTENSION.set(extension, format);
};
named("jpg jpeg jpe jfif pjpeg pjp", JPEG);
named("png apng", PNG);
named("webp", WEBP);
named("gif", GIF);
named("heic heif hif heics heifs", HEIC);
named("avif avifs", AVIF);
named("jxl", JXL);
named("tif tiff", TIFF);
named("bmp dib", BMP);
named("svg svgz", SVG);
named("jp2 j2k jpx jpf", JP2);
named("psd psb", PSD);
named("pdf", PDF);
named("3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f", raw);
named("mp4 m4v mov avi mkv webm mpg mpeg 3gp mts m2ts wmv insv", video);
named("txt md doc docx xls xlsx ppt pptx csv html htm zip rar 7z gz tar mp3 m4a wav flac exe dmg", {
  name: "",
  kind: "other",
});

/** The format that a file's extension names, if it is a known one. */
export function formatOfName(path: string): Format | null {
  const dot = path.lastIndexOf(".");
  return dot < 0 ? null : (BY_EXTENSION.get(path.slice(dot + 1).toLowerCase()) ?? null);
}

/** The format that a file's first bytes show. */
export function sniff(head: Uint8Array): Format | null {
  const text = (from: number, to: number): string => String.fromCharCode(...head.subarray(from, to));
  const starts = (...bytes: number[]): boolean => bytes.every((byte, index) => head[index] === byte);
  if (starts(0xff, 0xd8, 0xff)) return JPEG;
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return PNG;
  if (text(0, 6) === "GIF87a" || text(0, 6) === "GIF89a") return GIF;
  if (text(0, 4) === "RIFF" && text(8, 12) === "WEBP") return WEBP;
  if (text(4, 8) === "ftyp") return ofBrands(text(8, HEAD_BYTES));
  if (starts(0xff, 0x0a) || starts(0, 0, 0, 0x0c, 0x4a, 0x58, 0x4c, 0x20)) return JXL;
  if (starts(0, 0, 0, 0x0c) && text(4, 8) === "jP  ") return JP2;
  if (text(0, 4) === "II*\0" || text(0, 4) === "MM\0*") return TIFF;
  // Two letters are weak evidence: the reserved words of the header must be zero too.
  if (text(0, 2) === "BM" && text(6, 10) === "\0\0\0\0") return BMP;
  if (text(0, 4) === "8BPS") return PSD;
  if (text(0, 5) === "%PDF-") return PDF;
  if (/^\s*(<\?xml[^>]*>\s*)?<svg/i.test(text(0, HEAD_BYTES))) return SVG;
  if (starts(0x1a, 0x45, 0xdf, 0xa3) || (text(0, 4) === "RIFF" && text(8, 12) === "AVI ")) return video;
  return null;
}

/** ISO/IEC 14496-12, 4.3: the major brand, a version, then compatible brands. */
function ofBrands(brands: string): Format | null {
  const major = brands.slice(0, 4);
  if (major === "avif" || major === "avis") return AVIF;
  if (major === "crx ") return raw;
  if (/^(heic|heix|heim|heis|hevc|hevx|mif1|msf1)$/.test(major)) return /avi[fs]/.test(brands.slice(8)) ? AVIF : HEIC;
  return video;
}

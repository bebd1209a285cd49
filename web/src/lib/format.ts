import type { Photo } from "./http";
import { words } from "./words";

const DAY: Intl.DateTimeFormatOptions = { day: "numeric", month: "short", year: "numeric", timeZoneName: "short" };
const MINUTE: Intl.DateTimeFormatOptions = { ...DAY, hour: "2-digit", minute: "2-digit" };
const SECOND: Intl.DateTimeFormatOptions = { ...MINUTE, second: "2-digit" };
// Making a formatter takes longer than using it.
const number = new Intl.NumberFormat(words.date.locale);
const rounded = [0, 1, 2].map((digits) => new Intl.NumberFormat(words.date.locale, { maximumFractionDigits: digits }));

const inWords = (options: Intl.DateTimeFormatOptions) => (time: string | Date, timeZone?: string) =>
  new Intl.DateTimeFormat(words.date.locale, { ...options, timeZone }).format(new Date(time));

/** A time in the reader's zone, with the zone named: "2 Jan 2030, 03:04:05 GMT+1". */
export const formatTime = inWords(SECOND);
/** The same without seconds. */
export const formatMinute = inWords(MINUTE);
/** The day alone: "2 Jan 2030, GMT+1". */
export const formatDate = inWords(DAY);

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** A camera's local time, whose zone it may not have known: "9 Jul 2026, 18:23". As it is if only a part is known: "1975-08". */
export function formatCameraTime(taken: string): string {
  if (taken.length < "2026-07-09T18:23:45".length) return taken;
  const { timeZoneName, ...minute } = MINUTE;
  void timeZoneName;
  const time = new Date(`${taken.slice(0, 19)}Z`);
  return Number.isNaN(time.getTime()) ? taken : inWords(minute)(time, "UTC");
}

/** The manufacturer and the model, which often begins with the manufacturer's name. */
export function formatCamera({ make, model }: Photo): string {
  const name = make?.split(" ")[0]?.toLowerCase();
  const isNamed = name && model?.toLowerCase().startsWith(name);
  return [isNamed ? "" : make, model].filter(Boolean).join(" ");
}

/** As photographers write it: 1/250 s, f/2.8, ISO 400, 23 mm. */
export function formatExposure({ exposure_time: seconds, f_number, iso, focal_length }: Photo): string[] {
  const parts: string[] = [];
  if (seconds) parts.push(seconds < 0.3 ? `1/${Math.round(1 / seconds)} s` : `${seconds} s`);
  if (f_number) parts.push(`f/${f_number}`);
  if (iso) parts.push(`ISO ${iso}`);
  if (focal_length) parts.push(`${focal_length} mm`);
  return parts;
}

/** A size in decimal units, with three significant digits at most: "8.39 MB". */
export function formatBytes(bytes: number): string {
  let power = 0;
  let value = bytes;
  // 999.5 would be shown as 1000.
  while (value >= 999.5 && power < UNITS.length - 1) {
    value /= 1000;
    power++;
  }
  const digits = power === 0 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${rounded[digits]?.format(value)} ${UNITS[power]}`;
}

export function formatNumber(value: number): string {
  return number.format(value);
}

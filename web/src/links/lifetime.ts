/** How long a link works, in seconds, as the service takes it. */
export const MIN_LIFETIME = 300;
export const MAX_LIFETIME = 30_000;

/** The lifetimes that the form offers. */
export const LIFETIMES = [300, 1800, 3600, 4 * 3600, 8 * 3600] as const;

export interface Clock {
  hours: number;
  minutes: number;
  seconds: number;
}

export function toClock(lifetime: number): Clock {
  return { hours: Math.floor(lifetime / 3600), minutes: Math.floor((lifetime % 3600) / 60), seconds: lifetime % 60 };
}

/** The seconds of a clock, or null if it is not a lifetime that a link may have. A field that is left empty counts 0. */
export function toLifetime(clock: { [part in keyof Clock]: number | null | undefined }): number | null {
  const parts = [clock.hours ?? 0, clock.minutes ?? 0, clock.seconds ?? 0];
  if (!parts.every((part) => Number.isInteger(part) && part >= 0)) return null;
  const [hours = 0, minutes = 0, seconds = 0] = parts;
  const lifetime = hours * 3600 + minutes * 60 + seconds;
  return lifetime >= MIN_LIFETIME && lifetime <= MAX_LIFETIME ? lifetime : null;
}

/** Returns a remaining time in its two largest units: "1 h 20 min", "59 s". */
export function formatLeft(milliseconds: number, units: Record<keyof Clock, string>): string {
  const { hours, minutes, seconds } = toClock(Math.max(0, Math.floor(milliseconds / 1000)));
  if (hours > 0) return `${hours} ${units.hours} ${minutes} ${units.minutes}`;
  return minutes > 0 ? `${minutes} ${units.minutes} ${seconds} ${units.seconds}` : `${seconds} ${units.seconds}`;
}

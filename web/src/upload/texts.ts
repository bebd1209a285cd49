/** Texts about uploads. */

import { formatBytes, formatNumber } from "../lib/format";
import { words } from "../lib/words";
import { namesOf } from "./formats";
import type { Failure, QueuedFile } from "./queue";

const { upload } = words;

export interface Tally {
  ready: number;
  failed: number;
  present: number;
  skipped: number;
  cancelled: number;
  processing: number;
  active: number;
}

/** Returns the state of the queue. It says "complete" only if nothing failed. */
export function headingText(tally: Tally, total: number, isReading: boolean): string {
  const { ready, failed, present, processing, active, cancelled, skipped } = tally;
  if (isReading) return upload.reading(formatNumber(total));
  if (active > 0) return upload.uploading(formatNumber(total - active - processing), formatNumber(total));
  if (processing > 0) return upload.processing(formatNumber(processing));
  if (failed > 0) return upload.finishedWithFailures(formatNumber(failed));
  if (ready > 0) return upload.finished;
  if (cancelled > 0) return upload.cancelled;
  if (present > 0) return upload.nothingNew;
  return skipped > 0 ? upload.nothing : upload.reading(formatNumber(total));
}

/** The count of each outcome that there is. */
export function countsText(tally: Tally): string {
  const parts: string[] = [upload.counts.ready(formatNumber(tally.ready))];
  for (const part of ["failed", "present", "skipped", "cancelled", "processing", "active"] as const) {
    if (tally[part] > 0) parts.push(upload.counts[part](formatNumber(tally[part])));
  }
  return parts.join(" · ");
}

export function stateText(item: QueuedFile): string {
  if (item.state === "failed") return failureText(item.failure);
  if (item.state === "uploading") return upload.states.uploading(formatBytes(item.sent), formatBytes(item.file.size));
  return upload.states[item.state];
}

function failureText(failure: Failure | undefined): string {
  const { failures } = upload;
  if (!failure) return failures.refused;
  const { code, detail, limit = 0, format = "", accepted } = failure;
  const acceptedNames = new Intl.ListFormat(words.date.locale, { type: "disjunction" }).format(namesOf(accepted));
  switch (code) {
    case "too_large":
      return failures.too_large(formatBytes(limit));
    case "image_limit":
      return detail ?? failures.image_limit(formatNumber(limit));
    case "foreign_format":
      if (format === "HEIC") return failures.heic;
      if (format === "RAW") return failures.raw;
      return format === "Video" ? failures.video : failures.foreign_format(format, acceptedNames);
    case "not_an_image":
      return failures.not_an_image(acceptedNames);
    case "rejected":
    case "refused":
    case "plan_required":
      return detail || failures[code];
    default:
      return failures[code];
  }
}

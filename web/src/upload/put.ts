/** Sends one file to the bucket, by XMLHttpRequest: fetch tells no progress of an upload. */

import type { Upload } from "../lib/http";

/** Milliseconds without progress after which a connection is given up. */
const STALLED = 60_000;

export type PutResult =
  /** The bucket has the file. */
  | { is: "stored" }
  /** The URL has expired. */
  | { is: "expired" }
  /** Another try may succeed. `after`: milliseconds that the bucket asks to wait. */
  | { is: "retry"; connection: boolean; after?: number }
  | { is: "unreadable" }
  | { is: "changed" }
  | { is: "refused"; status: number; code: string }
  | { is: "aborted" };

export type Put = (
  upload: Upload,
  file: File,
  onSent: (bytes: number) => void,
  signal: AbortSignal,
) => Promise<PutResult>;

/** Set by the browser itself. */
const FORBIDDEN = new Set(["content-length", "host", "connection"]);

export const put: Put = async (upload, file, onSent, signal) => {
  const answer = await send(upload, file, onSent, signal);
  if (answer === "aborted") return { is: "aborted" };
  if (answer) return judge(answer.status, answer.text, answer.after);
  // A file that was changed, moved or deleted looks like a broken connection.
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    return { is: "unreadable" };
  }
  return { is: "retry", connection: true };
};

interface BucketAnswer {
  status: number;
  text: string;
  after?: number | undefined;
}

/** Gives null when there was no answer. */
function send(
  upload: Upload,
  file: File,
  onSent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<BucketAnswer | "aborted" | null> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve("aborted");
    const request = new XMLHttpRequest();
    let stalled = setTimeout(() => request.abort(), STALLED);
    const abort = (): void => request.abort();
    signal.addEventListener("abort", abort);
    const end = (answer: BucketAnswer | "aborted" | null): void => {
      clearTimeout(stalled);
      signal.removeEventListener("abort", abort);
      resolve(answer);
    };
    request.upload.onprogress = ({ loaded }): void => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALLED);
      onSent(loaded);
    };
    request.onload = (): void => {
      // Asking for a header by name logs an error where the bucket does not expose it.
      const after = retryAfter(/^retry-after: *(.*)$/im.exec(request.getAllResponseHeaders())?.[1]);
      end({ status: request.status, text: request.responseText, after });
    };
    request.onerror = (): void => end(null);
    request.onabort = (): void => end(signal.aborted ? "aborted" : null);
    request.open(upload.method, upload.url);
    for (const [name, value] of Object.entries(upload.headers)) {
      if (!FORBIDDEN.has(name.toLowerCase())) request.setRequestHeader(name, value);
    }
    request.send(file);
  });
}

/** Milliseconds of a `Retry-After` header: seconds, or a date. */
export function retryAfter(text: string | null | undefined): number | undefined {
  if (!text) return undefined;
  const wait = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}

/** Returns the meaning of an answer of S3: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html> */
export function judge(status: number, text: string, after?: number): PutResult {
  const code = /<Code>([^<]*)<\/Code>/.exec(text)?.[1] ?? "";
  const retry: PutResult =
    after === undefined ? { is: "retry", connection: false } : { is: "retry", connection: false, after };
  if (status >= 200 && status < 300) return { is: "stored" };
  // The URL stores a file once: an earlier try did, and its answer was lost.
  if (status === 412) return { is: "stored" };
  if (status === 400) {
    if (code === "RequestTimeout" || code === "IncompleteBody") return retry;
    if (/^(BadDigest|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch)$/.test(code)) return { is: "changed" };
    if (code === "ExpiredToken") return { is: "expired" };
  }
  if (status === 401 || status === 403) return { is: "expired" };
  if (status === 404 || status === 408 || status === 409 || status === 429 || status >= 500) return retry;
  return { is: "refused", status, code };
}

/** Hashes files in a worker, so that the page stays responsive. */

import { type Digest, digest } from "./digest";

export interface HashRequest {
  number: number;
  file: File;
  accepted: readonly string[];
}

export interface HashAnswer {
  number: number;
  /** Absent when the file could not be read. */
  digest?: Digest;
}

/** Gives a file's digest; null when the file cannot be read. */
export type Hash = (file: File, accepted: readonly string[]) => Promise<Digest | null>;

/** Starts a worker with the first file. Where it cannot be loaded, as after a new deployment, the page hashes itself. */
export function createHasher(): Hash {
  let worker: Worker | null = null;
  let last = 0;
  let isBroken = false;
  const waiting = new Map<number, { request: HashRequest; answer: (digest: Digest | null) => void }>();
  const hashHere = ({ file, accepted }: HashRequest): Promise<Digest | null> =>
    digest(file, accepted).catch(() => null);
  const start = (): Worker => {
    const started = new Worker(new URL("./hash.worker.ts", import.meta.url), { type: "module" });
    started.onmessage = ({ data }: MessageEvent<HashAnswer>): void => {
      waiting.get(data.number)?.answer(data.digest ?? null);
      waiting.delete(data.number);
    };
    started.onerror = (): void => {
      started.terminate();
      isBroken = true;
      for (const { request, answer } of waiting.values()) void hashHere(request).then(answer);
      waiting.clear();
    };
    return started;
  };
  return (file, accepted) =>
    new Promise((resolve) => {
      const request: HashRequest = { number: ++last, file, accepted };
      if (isBroken) return void hashHere(request).then(resolve);
      waiting.set(request.number, { request, answer: resolve });
      (worker ??= start()).postMessage(request);
    });
}

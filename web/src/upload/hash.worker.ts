import { digest } from "./digest";
import type { HashAnswer, HashRequest } from "./hasher";

self.onmessage = async ({ data: { number, file, accepted } }: MessageEvent<HashRequest>): Promise<void> => {
  let answer: HashAnswer;
  try {
    answer = { number, digest: await digest(file, accepted) };
  } catch {
    answer = { number };
  }
  self.postMessage(answer);
};

import { ApiError, ask, type Job, wait } from "../lib/http";
import type { api } from "../lib/api";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5000;

/** Returns true for a job that is done or failed. */
export function isOver({ status }: Job): boolean {
  return status === "done" || status === "failed";
}

/**
 * Reads a job again and again until it is over, more seldom the longer it lasts. Without an answer it goes on; an answer
 * such as 404 ends it.
 */
export async function followJob(
  client: Pick<typeof api, "GET">,
  id: string,
  onChange: (job: Job) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let pause = FIRST_PAUSE; !signal.aborted; pause = Math.min(pause * 1.3, LONGEST_PAUSE)) {
    try {
      const params = { path: { id } };
      const job = await ask(client.GET("/api/jobs/{id}", { params, cache: "no-store", signal }));
      onChange(job);
      if (isOver(job)) return;
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status > 0 && error.status < 500)) throw error;
    }
    await wait(pause, signal);
  }
}

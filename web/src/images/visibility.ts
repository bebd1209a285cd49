import { api, ask, errorText, type Image, isAborted, type Visibility } from "../lib/api";

const CONCURRENT = 4;

export interface Changed {
  failed: number;
  /** Why the first one failed. */
  reason: string;
}

/** Makes images public or private, four at a time, until all were tried or `signal` ends it. */
export async function setVisibility(
  ids: readonly string[],
  visibility: Visibility,
  onChanged: (image: Image) => void,
  signal: AbortSignal,
): Promise<Changed> {
  const outcome: Changed = { failed: 0, reason: "" };
  let next = 0;
  const work = async (): Promise<void> => {
    for (let id = ids[next++]; id !== undefined && !signal.aborted; id = ids[next++]) {
      try {
        const params = { path: { id } };
        onChanged(await ask(api.PATCH("/api/images/{id}", { params, body: { visibility }, signal })));
      } catch (error) {
        if (isAborted(error)) return;
        outcome.failed += 1;
        outcome.reason ||= errorText(error);
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, work));
  return outcome;
}

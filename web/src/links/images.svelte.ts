import { SvelteMap } from "svelte/reactivity";
import { api, ApiError, ask } from "../lib/api";

export interface LinkedImage {
  title: string;
  thumbnail: string | undefined;
}

/** The images of links, read once each. */
export class LinkedImages {
  #known = new SvelteMap<string, LinkedImage | null>();
  #asked = new Set<string>();

  /** Null if the image was deleted; undefined until it is known. */
  get(id: string): LinkedImage | null | undefined {
    return this.#known.get(id);
  }

  async read(ids: readonly string[], signal: AbortSignal): Promise<void> {
    const unknown = ids.filter((id) => !this.#asked.has(id));
    for (const id of unknown) this.#asked.add(id);
    await Promise.all(unknown.map((id) => this.#readOne(id, signal)));
  }

  async #readOne(id: string, signal: AbortSignal): Promise<void> {
    try {
      const { title, thumbnails } = await ask(api.GET("/api/images/{id}", { params: { path: { id } }, signal }));
      this.#known.set(id, { title, thumbnail: thumbnails[0]?.url });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) this.#known.set(id, null);
      // Asked again with the next reading of the list.
      else this.#asked.delete(id);
    }
  }
}

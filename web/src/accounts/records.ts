import { api, ask } from "../lib/api";

/** Reads the user's export and returns it as lines of JSON: the account, the images and the links, without URLs that expire. */
export async function readRecords(): Promise<Blob> {
  await ask(api.POST("/api/me/export"));
  const lines: string[] = [];
  const add = (record: object) => lines.push(`${JSON.stringify(record)}\n`);
  let cursor: string | undefined;
  do {
    const page = await ask(api.GET("/api/me/export", { params: { query: { limit: 100, cursor } } }));
    if (page.account) add({ account: page.account });
    for (const image of page.images) add({ image: { ...image, image_url: null, url_expires_at: undefined } });
    for (const link of page.links) add({ link });
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return new Blob(lines, { type: "application/jsonl" });
}

/** Has the browser save a file. */
export function saveFile(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

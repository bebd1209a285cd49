import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PICTURES } from "./setup";

/** A file as Playwright's `setInputFiles` takes it. */
export interface Photo {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

/** The longest comment: ITU-T T.81, B.2.4.5. */
const COMMENT = 65_533;

/** A photograph that no other file equals, of some size: comments after its start take up what is missing. */
export async function photo(name: string, size = 0): Promise<Photo> {
  const picture = await readFile(`${PICTURES}picture-${Math.floor(Math.random() * 8)}.jpg`);
  const parts = [picture.subarray(0, 2)];
  let missing = Math.max(size - picture.length, 64);
  while (missing > 0) {
    const text = randomBytes(Math.max(1, Math.min(missing - 4, COMMENT)));
    const head = Buffer.from([0xff, 0xfe, 0, 0]);
    head.writeUInt16BE(text.length + 2, 2);
    parts.push(head, text);
    missing -= text.length + 4;
  }
  parts.push(picture.subarray(2));
  return { name, mimeType: "image/jpeg", buffer: Buffer.concat(parts) };
}

export function photos(count: number, size = 0): Promise<Photo[]> {
  return Promise.all(Array.from({ length: count }, (_, number) => photo(`photo-${number}.jpg`, size)));
}

/** Writes files to a new folder, and gives its path. */
export async function folderOf(files: Record<string, Buffer>): Promise<string> {
  const folder = join(await mkdtemp(join(tmpdir(), "tintype-")), "trip");
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
  return folder;
}

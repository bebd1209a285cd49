/** SHA-256 of files, in bounded memory. Runs in a worker. */

import { sha256 } from "@noble/hashes/sha2.js";

import { type Format, HEAD_BYTES, sniff } from "./formats";

/** Bytes. Files up to this size are hashed at once by the browser, larger ones in pieces. */
export const AT_ONCE = 16 * 1024 * 1024;
const PIECE = 4 * 1024 * 1024;

export interface Digest {
  format: Format | null;
  /** Lowercase hex; absent where the format is not accepted. */
  sha256?: string;
}

/** Reads a file's format and, where it is accepted, its hash. Rejects when the file cannot be read. */
export async function digest(file: Blob, accepted: readonly string[]): Promise<Digest> {
  const head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  const format = sniff(head);
  if (!format?.type || !accepted.includes(format.type)) return { format };
  return { format, sha256: hex(await hashOf(file)) };
}

async function hashOf(file: Blob): Promise<Uint8Array> {
  // Absent where the page is served over plain HTTP from another host than this machine.
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle as SubtleCrypto | undefined;
  const native = subtle && file.size <= AT_ONCE ? subtle : null;
  const hash = sha256.create();
  for await (const piece of pieces(file, native ? file.size : PIECE)) {
    if (native) return new Uint8Array(await native.digest("SHA-256", piece));
    hash.update(piece);
  }
  return hash.digest();
}

/** The memory that all files are read into: a new buffer for each file would stay until the garbage collector runs. */
let memory = new ArrayBuffer(0);

/** Reads a file in pieces of some size. Each piece is valid until the next one is read. */
async function* pieces(file: Blob, size: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = openReader(file);
  let buffer = memory.byteLength >= size ? memory : new ArrayBuffer(size);
  memory = new ArrayBuffer(0);
  try {
    for (let at = 0; at < file.size; at += size) {
      const length = Math.min(size, file.size - at);
      if (!reader) {
        yield new Uint8Array(await file.slice(at, at + length).arrayBuffer());
        continue;
      }
      for (let filled = 0; filled < length;) {
        const { value, done } = await reader.read(new Uint8Array(buffer, filled, length - filled));
        if (done || !value) throw new Error("The file is shorter than it was.");
        buffer = value.buffer;
        filled += value.byteLength;
      }
      yield new Uint8Array(buffer, 0, length);
    }
  } finally {
    memory = buffer;
    await reader?.cancel().catch(() => undefined);
  }
}

/** Null where a file's stream cannot read into a given buffer. */
function openReader(file: Blob): ReadableStreamBYOBReader | null {
  try {
    return file.stream().getReader({ mode: "byob" });
  } catch {
    return null;
  }
}

function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

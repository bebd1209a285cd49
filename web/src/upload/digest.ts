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
  if (subtle && file.size <= AT_ONCE) {
    return new Uint8Array(await subtle.digest("SHA-256", await file.arrayBuffer()));
  }
  const hash = sha256.create();
  for (let at = 0; at < file.size; at += PIECE) {
    hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
  }
  return hash.digest();
}

function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

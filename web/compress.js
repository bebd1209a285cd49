// Compresses the files of the built page, so that the function that serves them does not: `name.br` and `name.gz`.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const FOLDER = "dist";
const COMPRESSIBLE = new Set([".css", ".html", ".js", ".json", ".svg", ".txt"]);

for (const entry of await readdir(FOLDER, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !COMPRESSIBLE.has(extname(entry.name))) continue;
  const path = join(entry.parentPath, entry.name);
  const bytes = await readFile(path);
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  const compressed = {
    br: brotliCompressSync(bytes, { params }),
    gz: gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }),
  };
  for (const [suffix, smaller] of Object.entries(compressed)) {
    if (smaller.length < bytes.length) await writeFile(`${path}.${suffix}`, smaller);
  }
}

// Sums what the first view loads, Explore without a login and before images, and fails above the limits.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const MAX_SCRIPT = 50_000;
const MAX_TOTAL = 90_000;

const dist = new URL("dist/", import.meta.url);
const page = readFileSync(new URL("index.html", dist));
const size = (file) => gzipSync(readFileSync(new URL(`.${file}`, dist)), { level: 9 }).length;
const files = [...page.toString().matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, file]) => file);
const script = files.filter((file) => file.endsWith(".js")).reduce((sum, file) => sum + size(file), 0);
const total = gzipSync(page, { level: 9 }).length + files.reduce((sum, file) => sum + size(file), 0);

console.log(
  `First view, gzip: ${script} bytes of script (at most ${MAX_SCRIPT}), ${total} in all (at most ${MAX_TOTAL}).`,
);
if (script === 0 || script > MAX_SCRIPT || total > MAX_TOTAL) process.exit(1);

import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of this run: see playwright.config.ts. */
const RESULTS = process.env.TINTYPE_RESULTS ?? "";

export const PICTURES = join(RESULTS, "pictures/");

/** Makes the pictures that the tests upload. Returns the function that deletes them, and the run's folder unless a test left its trace. */
export default function setup(): () => void {
  // `make` puts the project's Python first in PATH.
  const root = fileURLToPath(new URL("../..", import.meta.url));
  execFileSync("python", ["-m", "web.e2e.pictures", PICTURES], { cwd: root, stdio: "inherit" });
  return () => {
    rmSync(PICTURES, { recursive: true });
    if (readdirSync(RESULTS).every((name) => name.startsWith("."))) rmSync(RESULTS, { recursive: true });
  };
}

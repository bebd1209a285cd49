import { mkdirSync, mkdtempSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "@playwright/test";

// The page as the stack serves it, or, with TINTYPE_PREVIEW, as `vite preview` does in front of the stack.
const preview = process.env.TINTYPE_PREVIEW;
const baseURL = preview ? `http://127.0.0.1:${preview}` : process.env.TINTYPE_URL;
if (!process.env.TINTYPE_URL) throw new Error("These tests need a running stack: `make test-web` starts one.");

// A folder for each run: several may go on in one checkout. The workers are told of it by the environment.
function newFolder(): string {
  const all = fileURLToPath(new URL("test-results/", import.meta.url));
  mkdirSync(all, { recursive: true });
  return mkdtempSync(all);
}
process.env.TINTYPE_RESULTS ??= newFolder();

// Most tests are of something that the page's width does not change: they run at one width, @wide or @narrow, about as
// many at each. The others run at both.
export default defineConfig({
  testDir: "e2e",
  globalSetup: "./e2e/setup.ts",
  outputDir: process.env.TINTYPE_RESULTS,
  fullyParallel: true,
  forbidOnly: true,
  // One more than processors: tests wait for mails, thumbnails and pauses of the page a third of their time.
  workers: 3,
  // A slow machine takes three times as long as a quick one.
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: [["list"]],
  use: {
    baseURL,
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    // A trace, which costs as much time as the tests, is made by `--trace retain-on-failure`.
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: process.env.HEADLESS_SHELL || (process.env.CHROMIUM ?? "/usr/bin/chromium"),
      // Drawing by the processor alone is quicker than emulating a graphics card on it.
      args: ["--disable-dev-shm-usage", "--disable-gpu"],
    },
  },
  projects: [
    { name: "1280", use: { viewport: { width: 1280, height: 800 } }, grepInvert: /@narrow/ },
    { name: "360", use: { viewport: { width: 360, height: 740 }, hasTouch: true }, grepInvert: /@wide/ },
  ],
  webServer: preview
    ? {
        command: `npx vite preview --host 127.0.0.1 --port ${preview} --strictPort`,
        url: `http://127.0.0.1:${preview}`,
      }
    : undefined,
});

import config from "../playwright.config";

// The measurements of `make bench-web`, one after the other in one browser each.
export default {
  ...config,
  testDir: ".",
  testMatch: "*.bench.ts",
  globalSetup: "../e2e/setup.ts",
  fullyParallel: false,
  workers: 1,
  timeout: 20 * 60_000,
  // The browser that people use.
  use: {
    ...config.use,
    launchOptions: { ...config.use?.launchOptions, executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium" },
  },
  projects: [{ name: "1280", use: { viewport: { width: 1280, height: 800 } } }],
};

import AxeBuilder from "@axe-core/playwright";
import { test as base, expect, type Locator, type Page } from "@playwright/test";
import type { Image } from "../src/lib/http";
import { API, BUCKETS, PASSWORD, subjectOf, TestUser } from "./stack";

export { expect } from "@playwright/test";
export * from "./stack";

interface Problems {
  list: string[];
  /** Passes over console errors that a test provokes. */
  allow: (pattern: RegExp) => void;
}

interface Fixtures {
  /** Violations of the Content-Security-Policy, errors in the console and requests to other origins. None may occur: checked at the end. */
  problems: Problems;
}

interface WorkerFixtures {
  /** A user of this worker, on the Premium plan, with one public image of each shape: picture-0 to picture-7. */
  artist: TestUser;
  /** A user of this worker, on the Enterprise plan, with one private image. */
  owner: { user: TestUser; image: Image };
}

/** For all files: a worker, with its browser, serves tests of the same fixtures only, and takes seconds to start. */
export const test = base.extend<Fixtures, WorkerFixtures>({
  problems: [
    async ({ context, baseURL }, use) => {
      const list: string[] = [];
      const allowed: RegExp[] = [/^Failed to load resource/];
      const origins = new Set([new URL(baseURL ?? API).origin, new URL(API).origin, BUCKETS]);
      await context.exposeBinding("tellViolation", (_, text: string) => list.push(`CSP: ${text}`));
      await context.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (event) => {
          const { tellViolation } = window as unknown as { tellViolation: (text: string) => void };
          tellViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
        });
      });
      context.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") list.push(`console: ${message.text()}`);
      });
      context.on("weberror", (error) => list.push(`error: ${error.error().stack}`));
      context.on("request", (request) => {
        const url = new URL(request.url());
        if (/^https?:$/.test(url.protocol) && !origins.has(url.origin)) list.push(`foreign origin: ${url}`);
      });
      await use({ list, allow: (pattern) => allowed.push(pattern) });
      const isAllowed = (text: string) => allowed.some((pattern) => pattern.test(text.replace(/^\w+: /, "")));
      expect(list.filter((text) => !isAllowed(text))).toEqual([]);
    },
    { auto: true },
  ],
  artist: [
    // eslint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const user = await TestUser.create({ plan: "Premium" });
      await Promise.all(Array.from({ length: 8 }, (_, number) => user.upload(`picture-${number}.jpg`)));
      await use(user);
    },
    { scope: "worker", timeout: 120_000 },
  ],
  owner: [
    // eslint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const user = await TestUser.create({ plan: "Enterprise" });
      await use({ user, image: await user.upload("picture-2.jpg", { visibility: "private" }) });
    },
    { scope: "worker", timeout: 120_000 },
  ],
});

/** Logs in by the page's own form. */
export async function logIn(page: Page, user: TestUser): Promise<void> {
  await page.goto("/login");
  await page.getByLabel("Email", { exact: true }).fill(user.email);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("main").getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("heading", { name: "My images", level: 1 })).toBeVisible();
}

/** Opens a page with the session cookie of a user. */
export async function openAs(page: Page, user: TestUser, path = "/images"): Promise<void> {
  const data = { email: user.email, password: PASSWORD, cookie: true };
  const answer = await page.request.post("/api/auth/login", { data });
  expect(answer.status()).toBe(200);
  const { access_token: token } = (await answer.json()) as { access_token: string };
  // The page's own mark of a login: see session.svelte.ts.
  await page.goto("/robots.txt");
  await page.evaluate((subject) => localStorage.setItem("tintype.user", subject), subjectOf(token));
  await page.goto(path);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
}

/** Follows a link of the navigation, which narrow pages have behind a menu. */
export async function navigate(page: Page, name: string): Promise<void> {
  const menu = page.getByRole("button", { name: "Menu" });
  if (await menu.isVisible()) await menu.click();
  await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
}

/** Looks for findings of axe in both colour schemes, in parts of the page if some are given. */
export async function expectAccessible(page: Page, ...parts: string[]): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ["violations"] });
    for (const part of parts) axe.include(part);
    // Nothing but the colours changes with the scheme.
    if (colorScheme === "dark") axe.withRules(["color-contrast"]);
    const { violations } = await axe.analyze();
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join("\n")}`);
    expect(found, colorScheme).toEqual([]);
  }
}

/** Each tile in the view, by its name. */
export function tiles(page: Page) {
  return page.getByRole("list", { name: /Explore|My images/ }).locator("[data-id]");
}

/** Waits until the page has been drawn. */
export async function drawn(page: Page): Promise<void> {
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}

/** Scrolls down until the tile of an image is there. */
export async function findTile(page: Page, title: string): Promise<Locator> {
  const tile = tiles(page).and(page.getByRole("link", { name: title, exact: true }));
  await expect(async () => {
    if ((await tile.count()) > 0) return;
    await page.evaluate(() => window.scrollBy(0, innerHeight));
    await drawn(page);
    expect(await tile.count()).toBe(1);
  }).toPass({ intervals: [0] });
  await tile.scrollIntoViewIfNeeded();
  return tile;
}

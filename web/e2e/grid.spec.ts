import type { Page } from "@playwright/test";
import { longFeed } from "./feeds";
import { drawn, expect, findTile, navigate, test, tiles } from "./fixtures";

interface Seen {
  id: string;
  top: number;
}

/** The tiles in view and where they are. */
function seen(page: Page): Promise<Seen[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>("[data-id]")]
      .map((tile) => ({ id: tile.dataset.id ?? "", top: tile.getBoundingClientRect().top }))
      .filter(({ top }) => top > 60 && top < innerHeight)
      .sort((a, b) => a.top - b.top),
  );
}

/** Scrolls down until an image of this number is loaded. */
async function scrollTo(page: Page, number: number): Promise<void> {
  await expect(async () => {
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    await drawn(page);
    const last = (await seen(page)).at(-1);
    expect(Number(last?.id.replace("synthetic", ""))).toBeGreaterThanOrEqual(number);
  }).toPass({ intervals: [0] });
}

test("11: of 10,000 images at most 150 tiles and 800 nodes are in the document", async ({ page, artist }) => {
  await longFeed(page, artist, 10_000, { pageSize: 1000 });
  await page.goto("/");
  await expect(tiles(page).first()).toBeVisible();
  let most = { tiles: 0, nodes: 0 };
  const count = async () => {
    const now = await page.evaluate(() => ({
      tiles: document.querySelectorAll("[data-id]").length,
      nodes: document.querySelectorAll("*").length,
    }));
    most = { tiles: Math.max(most.tiles, now.tiles), nodes: Math.max(most.nodes, now.nodes) };
  };
  await expect(async () => {
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    await drawn(page);
    await count();
    await expect(page.getByText("You have seen all images.")).toBeInViewport({ timeout: 10 });
  }).toPass({ intervals: [0] });
  for (let step = 0; step < 12; step++) {
    await page.evaluate(() => window.scrollBy(0, -1.7 * innerHeight));
    await drawn(page);
    await count();
  }
  expect(most.tiles).toBeLessThanOrEqual(150);
  expect(most.tiles).toBeGreaterThan(8);
  expect(most.nodes).toBeLessThanOrEqual(800);
});

test("11: the last of 400,000 images can be reached @wide", async ({ page, artist }) => {
  test.slow();
  await longFeed(page, artist, 400_000, { pageSize: 20_000, bare: true });
  await page.goto("/");
  await expect(tiles(page).first()).toBeVisible();
  await expect(async () => {
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    await expect(page.getByText("You have seen all images.")).toBeInViewport({ timeout: 100 });
  }).toPass({ intervals: [0], timeout: 120_000 });
  await expect(page.getByRole("link", { name: "Image 399999", exact: true })).toBeInViewport();
  expect(await page.evaluate(() => document.documentElement.scrollHeight)).toBeLessThan(17_000_000);
  // A step back shows the rows above, each at its place.
  const before = await seen(page);
  await page.mouse.move(400, 400);
  await page.mouse.wheel(0, -300);
  await expect
    .poll(async () => (await seen(page)).find(({ id }) => id === before[0]?.id)?.top)
    .toBeGreaterThan((before[0]?.top ?? 0) + 250);
  await page.keyboard.press("Home");
});

test("11: requests of tiles that left the window are cancelled @wide", async ({ page, artist }) => {
  await longFeed(page, artist, 1000, { distinct: true });
  const asked = new Set<string>();
  const cancelled = new Set<string>();
  // Answers never come.
  await page.route("**/media/thumbnail/**", (route) => void asked.add(route.request().url()));
  page.on("requestfailed", (request) => {
    if (request.failure()?.errorText === "net::ERR_ABORTED") cancelled.add(request.url());
  });
  await page.goto("/");
  await expect.poll(() => asked.size).toBeGreaterThan(3);
  await scrollTo(page, 400);
  await expect.poll(() => cancelled.size).toBeGreaterThan(3);
});

test("12: Back from the large view and from another page shows the same row", async ({ page, artist }) => {
  await longFeed(page, artist, 2000);
  await page.goto("/");
  await expect(tiles(page).first()).toBeVisible();
  await scrollTo(page, 600);
  await page.evaluate(() => window.scrollBy(0, -777));
  await drawn(page);
  const before = await seen(page);

  await navigate(page, "Log in");
  await expect(page.getByRole("heading", { level: 1, name: "Log in" })).toBeVisible();
  await expect.poll(() => page.evaluate(() => scrollY)).toBe(0);
  await page.goBack();
  const moved = async (tile: Seen | undefined) => {
    const now = (await seen(page)).find(({ id }) => id === tile?.id);
    return Math.abs((now?.top ?? NaN) - (tile?.top ?? NaN));
  };
  await expect.poll(() => moved(before[0])).toBeLessThanOrEqual(1);

  await page.locator(`[data-id="${before[3]?.id}"]`).click();
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.goBack();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect.poll(() => moved(before[3])).toBeLessThanOrEqual(1);
});

test("12: scrolling moves tiles by as much, and nothing shifts", async ({ page, artist }) => {
  await page.addInitScript(() => {
    const shifts: number[] = [];
    Object.assign(window, { shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) shifts.push((entry as unknown as { value: number }).value);
    }).observe({ type: "layout-shift", buffered: true });
  });
  await longFeed(page, artist, 1000);
  await page.goto("/");
  await expect(tiles(page).first()).toBeVisible();
  await scrollTo(page, 300);
  for (let step = 0; step < 8; step++) {
    const before = await seen(page);
    const moved = await page.evaluate(() => {
      const from = scrollY;
      window.scrollBy(0, -137);
      return from - scrollY;
    });
    await drawn(page);
    for (const { id, top } of await seen(page)) {
      const old = before.find((tile) => tile.id === id);
      if (old) expect(Math.abs(top - old.top - moved)).toBeLessThanOrEqual(1);
    }
  }
  const shifts = await page.evaluate(() => (window as unknown as { shifts: number[] }).shifts);
  expect(shifts.reduce((sum, shift) => sum + shift, 0)).toBeLessThanOrEqual(0.02);
});

test("12: a narrower window keeps the row at the top @wide", async ({ page, artist }) => {
  await longFeed(page, artist, 1000);
  await page.goto("/");
  await expect(tiles(page).first()).toBeVisible();
  await scrollTo(page, 500);
  const first = await page.evaluate(
    () =>
      [...document.querySelectorAll<HTMLElement>("[data-id]")].find((tile) => tile.getBoundingClientRect().bottom > 0)
        ?.dataset.id ?? "",
  );
  await page.setViewportSize({ width: 700, height: 800 });
  await drawn(page);
  await expect(page.locator(`[data-id="${first}"]`)).toBeInViewport();
});

test("13: images that arrive while one pages appear once @narrow", async ({ page, artist }) => {
  await longFeed(page, artist, 300);
  const all = page.locator("[data-id]");
  // The second page begins with what the first one ended with.
  await page.route("**/api/explore*cursor=100*", (route) =>
    route.fallback({ url: route.request().url().replace("cursor=100", "cursor=90") }),
  );
  await page.goto("/");
  await expect(tiles(page).first()).toBeVisible();
  const ids = new Set<string>();
  const twice: string[] = [];
  await expect(async () => {
    const now = await all.evaluateAll((tiles) => tiles.map((tile) => (tile as HTMLElement).dataset.id ?? ""));
    twice.push(...now.filter((id, at) => now.indexOf(id) !== at));
    for (const id of now) ids.add(id);
    const end = await page.evaluate(() => {
      const from = scrollY;
      window.scrollBy(0, innerHeight);
      return scrollY === from;
    });
    await drawn(page);
    expect(end && (await page.getByText("You have seen all images.").isVisible())).toBe(true);
  }).toPass({ intervals: [0] });
  expect(twice).toEqual([]);
  expect(ids.size).toBe(300);
});

test("13: an error is not the end of the list, and a retry goes on @wide", async ({ page, artist }) => {
  await longFeed(page, artist, 300);
  let isDown = true;
  await page.route("**/api/explore*cursor=200*", (route) => (isDown ? route.abort() : route.fallback()));
  await page.goto("/");
  await expect(tiles(page).first()).toBeVisible();
  await expect(async () => {
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    await expect(page.getByRole("main").getByRole("alert")).toBeVisible({ timeout: 100 });
  }).toPass();
  await expect(page.getByText("You have seen all images.")).toHaveCount(0);
  isDown = false;
  await page.getByRole("button", { name: "Retry" }).click();
  await scrollTo(page, 299);
  await expect(page.getByText("You have seen all images.")).toBeVisible();
});

test("14: shortcuts are shown by ?, but not from a field @narrow", async ({ page }) => {
  await page.goto("/login");
  await page.getByLabel("Email", { exact: true }).press("?");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.getByRole("heading", { level: 1 }).click();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog")).toHaveCount(1);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

test("14: arrow keys move the focus, which stays visible", async ({ page, artist }) => {
  await longFeed(page, artist, 500);
  await page.goto("/");
  await expect(tiles(page).first()).toBeVisible();
  await tiles(page).first().focus();
  const focused = () => page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset.id);
  await page.keyboard.press("ArrowRight");
  await expect.poll(focused).toBe("synthetic1");
  await page.keyboard.press("ArrowLeft");
  await expect.poll(focused).toBe("synthetic0");
  for (let step = 0; step < 15; step++) {
    await page.keyboard.press("ArrowDown");
    await drawn(page);
    await expect(page.locator(":focus")).toBeInViewport({ ratio: 0.9 });
  }
  expect(Number((await focused())?.replace("synthetic", ""))).toBeGreaterThan(25);
  await page.keyboard.press("Home");
  await expect.poll(focused).toBe("synthetic0");
  await expect(page.locator(":focus")).toBeInViewport({ ratio: 0.9 });
});

test("16: ratios are right for all eight orientations @narrow", async ({ page, artist }) => {
  const images = [];
  for (let number = 1; number <= 8; number++) images.push(await artist.upload(`orientation-${number}.jpg`));
  await page.goto("/");
  // Newest first, as they follow each other on the page.
  for (const [at, image] of [...images.entries()].reverse()) {
    const tile = await findTile(page, image.title);
    const expected = at < 4 ? 600 / 400 : 400 / 600;
    const box = await tile.boundingBox();
    expect((box?.width ?? 0) / (box?.height ?? 1)).toBeCloseTo(expected, 1);
    const picture = tile.locator("img");
    await expect.poll(() => picture.evaluate((img: HTMLImageElement) => img.naturalWidth)).toBeGreaterThan(0);
    const natural = await picture.evaluate((img: HTMLImageElement) => img.naturalWidth / img.naturalHeight);
    expect(natural).toBeCloseTo(expected, 1);
  }
});

test("16: a malformed placeholder or a missing thumbnail leaves a plain box @wide", async ({ page, artist }) => {
  await longFeed(page, artist, 4);
  const broken = [
    { placeholder: "!", thumbnails: [] },
    { placeholder: "AAAA", thumbnails: [] },
    { placeholder: null, thumbnails: [] },
    {
      placeholder: "////////",
      thumbnails: [{ height: 200, width: 300, content_type: "image/jpeg", url: "/media/thumbnail/none/none/200.jpg" }],
    },
  ];
  await page.route("**/api/explore*", async (route) => {
    const { results } = await artist.call<{ results: object[] }>("/api/images");
    const images = broken.map((item, at) => ({ ...results[0], ...item, id: `broken${at}`, title: `Broken ${at}` }));
    await route.fulfill({ json: { results: images, next_cursor: null } });
  });
  await page.goto("/");
  for (const at of broken.keys()) {
    const tile = page.getByRole("link", { name: `Broken ${at}`, exact: true });
    await expect(tile).toBeVisible();
    await expect(tile.locator("img")).toHaveCount(0);
  }
});

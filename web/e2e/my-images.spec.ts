import type { Page } from "@playwright/test";
import type { Image } from "../src/lib/http";
import { drawn, expect, expectAccessible, navigate, openAs, test, tiles, TestUser } from "./fixtures";

let user: TestUser;

/** Registers images that nothing is uploaded for: they are in the list all the same. */
async function register(titles: string[]): Promise<void> {
  const images = titles.map((title) => ({ title, content_type: "image/jpeg", size: 1000 }));
  await user.call("/api/images/batch", { body: { images } });
}

const numbered = (count: number, name = "image") =>
  Array.from({ length: count }, (_, number) => `${name} ${String(number).padStart(3, "0")}`);

async function listed(): Promise<Image[]> {
  return (await user.call<{ results: Image[] }>("/api/images?limit=100")).results;
}

const tile = (page: Page, title: string) => page.locator(`[data-id][aria-label="${title}"]`);

async function select(page: Page, ...titles: string[]): Promise<void> {
  await page.getByRole("button", { name: "Select", exact: true }).click();
  for (const title of titles) await tile(page, title).click();
}

test.beforeEach(async ({ page }) => {
  user = await TestUser.create();
  await openAs(page, user);
  await expect(page.getByText("You have no images yet.")).toBeVisible();
});

async function reload(page: Page): Promise<void> {
  await page.reload();
  await expect(tiles(page).first()).toBeVisible();
}

test("13: images that arrive while one pages appear once, and the end is no error @wide", async ({
  page,
  problems,
}) => {
  problems.allow(/Failed to load resource/);
  const titles = numbered(150);
  await register(titles.slice(0, 75));
  await register(titles.slice(75));
  const failing = { pages: 1 };
  await page.route(/\/api\/images\?.*cursor=/, (route) => (failing.pages-- > 0 ? route.abort() : route.fallback()));
  await reload(page);
  await register(numbered(5, "late"));
  const alert = page.getByRole("main").getByRole("alert");
  await expect(async () => {
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    await expect(alert).toContainText("More images could not be loaded.", { timeout: 100 });
  }).toPass({ intervals: [0] });
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(alert).toHaveCount(0);
  await page.evaluate(() => window.scrollTo(0, 0));
  await drawn(page);
  const seen = new Set<string>();
  const twice: string[] = [];
  await expect(async () => {
    const now = await tiles(page).evaluateAll((all) => all.map((tile) => tile.getAttribute("aria-label") ?? ""));
    twice.push(...now.filter((title, at) => now.indexOf(title) !== at));
    for (const title of now) seen.add(title);
    await page.evaluate(() => window.scrollBy(0, innerHeight));
    await drawn(page);
    expect(titles.filter((title) => !seen.has(title))).toEqual([]);
  }).toPass({ intervals: [0] });
  expect(twice).toEqual([]);
  await expect(alert).toHaveCount(0);
});

test("15: Shift selects exactly the range, both ways, also across what is not shown @wide", async ({ page }) => {
  const titles = numbered(150);
  await register(titles.slice(0, 75));
  await register(titles.slice(75));
  await reload(page);
  // Newest first.
  const order = (await listed()).map(({ title }) => title);
  const [from, to] = [order[3] ?? "", order[90] ?? ""];
  await select(page, from);
  await expect(page.getByText("1 selected", { exact: true })).toBeVisible();
  await scrollTo(page, to, 1);
  await expect(tile(page, from)).toHaveCount(0);
  await tile(page, to).click({ modifiers: ["Shift"] });
  await expect(page.getByText("88 selected", { exact: true })).toBeVisible();
  // The other way, from the same start.
  await scrollTo(page, order[0] ?? "", -1);
  await tile(page, order[0] ?? "").click({ modifiers: ["Shift"] });
  await expect(page.getByText("4 selected", { exact: true })).toBeVisible();
  for (const title of order.slice(0, 4)) await expect(tile(page, title)).toHaveAttribute("aria-pressed", "true");
  await expect(tile(page, order[4] ?? "")).toHaveAttribute("aria-pressed", "false");
  await page.getByRole("button", { name: "Select all" }).click();
  await expect(page.getByText("150 selected", { exact: true })).toBeVisible();
  await expectAccessible(page);
  // The view stays where it is when the toolbar goes away.
  await scrollTo(page, to, 1);
  await page.getByRole("button", { name: "Done" }).click();
  await expect(page.getByRole("toolbar")).toHaveCount(0);
  await expect(tile(page, to)).toHaveCount(1);
  await expect(page.locator(":focus")).toBeInViewport();
  expect(await page.evaluate(() => scrollY)).toBeGreaterThan(0);
});

test("15: Shift selects a range that ends among images which were not loaded where it began @wide", async ({
  page,
  problems,
}) => {
  problems.allow(/Failed to load resource/);
  const titles = numbered(150);
  await register(titles.slice(0, 75));
  await register(titles.slice(75));
  const first = await user.call<{ results: Image[]; next_cursor: string }>("/api/images?limit=100");
  const cursor = encodeURIComponent(first.next_cursor);
  const rest = await user.call<{ results: Image[] }>(`/api/images?limit=100&cursor=${cursor}`);
  const order = [...first.results, ...rest.results].map(({ title }) => title);
  const shown = (count: number) => page.getByText(`${count} selected`, { exact: true });
  let answer: "hold" | "fail" | "pass" = "hold";
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(/\/api\/images\?.*cursor=/, async (route) => {
    if (answer === "hold") await released;
    return answer === "fail" ? route.abort() : route.continue();
  });
  await reload(page);
  // The second page is not there, so that no image after the hundredth is.
  await select(page, order[3] ?? "");
  await expect(shown(1)).toBeVisible();
  // If the rest cannot be read, nothing is selected that is not known, and the user is told.
  await tile(page, order[3] ?? "").press("Shift+End");
  answer = "fail";
  release();
  await expect(page.getByRole("main").getByRole("alert")).toContainText("More images could not be loaded.");
  await expect(shown(1)).toBeVisible();
  await page.getByRole("button", { name: "Select all" }).click();
  await expect(page.getByText("Not all images could be read, so they are not selected.")).toBeVisible();
  await expect(shown(1)).toBeVisible();

  answer = "pass";
  await page.locator("[data-id]:focus, [data-id][tabindex='0']").first().press("Shift+End");
  await expect(shown(147)).toBeVisible();
  await expect(tile(page, order[149] ?? "")).toBeFocused();
  // Back to an image of the second page by a click.
  await scrollTo(page, order[120] ?? "", -1);
  await tile(page, order[120] ?? "").click({ modifiers: ["Shift"] });
  await expect(shown(118)).toBeVisible();
  await page.getByRole("button", { name: "Select all" }).click();
  await expect(shown(150)).toBeVisible();
});

test("11: a click is answered by the next frame, before the service answers anything @narrow", async ({ page }) => {
  await register(numbered(75));
  await reload(page);
  await page.route("**/api/**", () => new Promise(() => undefined));
  /** Clicks on an element, and tells in the next frame whether another one is there. */
  const answers = (clicked: string, shown: string, ctrlKey = false) =>
    page.evaluate(
      async ([clicked, shown, ctrlKey]) => {
        const click = new MouseEvent("click", { bubbles: true, cancelable: true, ctrlKey });
        const before = document.querySelector(shown) !== null;
        document.querySelector(clicked)?.dispatchEvent(click);
        await new Promise(requestAnimationFrame);
        return [before, document.querySelector(shown) !== null];
      },
      [clicked, shown, ctrlKey] as const,
    );
  const id = (await tiles(page).first().getAttribute("data-id")) ?? "";
  expect(await answers(`[data-id="${id}"]`, `[data-id="${id}"][aria-pressed=true]`, true)).toEqual([false, true]);
  const makePrivate = page.getByRole("toolbar").getByRole("button", { name: "Make private" });
  await makePrivate.evaluate((button) => (button.id = "clicked"));
  expect(await answers("#clicked", "[role=toolbar] progress, [role=toolbar] [role=progressbar]")).toEqual([
    false,
    true,
  ]);
});

/** Scrolls down (1) or up (-1) until the tile of an image is there. */
async function scrollTo(page: Page, title: string, direction: 1 | -1): Promise<void> {
  await expect(async () => {
    if ((await tile(page, title).count()) > 0) return;
    await page.evaluate((direction) => window.scrollBy(0, direction * innerHeight), direction);
    await drawn(page);
    expect(await tile(page, title).count()).toBe(1);
  }).toPass({ intervals: [0] });
}

test("a deletion can be undone, and is sent when the time for that is over or the page is closed", async ({ page }) => {
  await page.clock.install();
  await register(["a", "b", "c", "d"]);
  await reload(page);
  const titles = async () => (await listed()).map(({ title }) => title).sort();
  const sent: string[] = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/api/images/delete")) sent.push(request.postData() ?? "");
  });
  await select(page, "a", "b");
  await expect(page.getByText("2 selected", { exact: true })).toBeVisible();
  // The time to undo it stands still, but for what is told here.
  await page.clock.pauseAt(Date.now() + 60_000);
  await page.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("2 images deleted.")).toBeVisible();
  await expect(tile(page, "a")).toHaveCount(0);
  await page.clock.runFor(9900);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(tile(page, "a")).toBeVisible();
  expect(await tiles(page).evaluateAll((all) => all.map((tile) => tile.getAttribute("aria-label")))).toEqual(
    (await listed()).map(({ title }) => title),
  );
  expect(sent).toEqual([]);
  await page.clock.resume();

  await select(page, "a");
  await page.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("1 image deleted.")).toBeVisible();
  await page.clock.fastForward(10_000);
  await expect.poll(titles).toEqual(["b", "c", "d"]);
  await expect(page.getByRole("button", { name: "Undo" })).toHaveCount(0);

  await select(page, "b");
  await page.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("1 image deleted.")).toBeVisible();
  // Another one begins: the first can no longer be undone.
  await select(page, "c");
  await page.getByRole("button", { name: "Delete" }).click();
  await expect.poll(titles).toEqual(["c", "d"]);

  await page.close({ runBeforeUnload: true });
  await expect.poll(titles).toEqual(["d"]);
});

test("20: a deletion that is waiting is sent before a logout, which the other tabs do not wait for @narrow", async ({
  page,
  context,
}) => {
  await page.clock.install();
  await register(["a", "b"]);
  await reload(page);
  const other = await context.newPage();
  await other.goto("/images");
  await expect(tiles(other)).toHaveCount(2);
  await select(page, "a");
  // Neither the time to undo it is over nor the time that a logout waits for it.
  await page.clock.pauseAt(Date.now() + 60_000);
  await page.getByRole("button", { name: "Make private" }).click();
  await expect(page.getByText("Made private: 1")).toBeVisible();
  await page.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("1 image deleted.")).toBeVisible();
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/api/images/delete", async (route) => {
    await released;
    await route.continue();
  });
  const answered = page.waitForResponse((response) => response.url().endsWith("/api/images/delete"));
  const menu = page.getByRole("button", { name: "Menu" });
  if (await menu.isVisible()) await menu.click();
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(other.getByText("Log in to see this page.")).toBeVisible();
  release();
  expect((await answered).status()).toBe(200);
  await expect(page.getByText("You are logged out.")).toBeVisible();
  // Messages about what the user did go with the session.
  await expect(page.getByText("Made private: 1")).toHaveCount(0);
  await page.clock.resume();
});

test("7: a deletion that is waiting is not sent once another user logs in in another tab @narrow", async ({
  page,
  context,
}) => {
  const second = await TestUser.create();
  await page.clock.install();
  await register(["a"]);
  await reload(page);
  await select(page, "a");
  await page.clock.pauseAt(Date.now() + 60_000);
  await page.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("1 image deleted.")).toBeVisible();
  const sent: string[] = [];
  context.on("request", (request) => {
    if (request.url().endsWith("/api/images/delete")) sent.push(request.url());
  });
  const other = await context.newPage();
  await openAs(other, second);
  await expect(page.getByText("You have no images yet.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Undo" })).toHaveCount(0);
  await page.clock.runFor(20_000);
  await page.close({ runBeforeUnload: true });
  await other.reload();
  await expect(other.getByText("You have no images yet.")).toBeVisible();
  expect(sent).toEqual([]);
  expect((await listed()).map(({ title }) => title)).toEqual(["a"]);
});

test("an image is renamed and described in place; a change made meanwhile is not overwritten @narrow", async ({
  page,
  problems,
}) => {
  problems.allow(/Failed to load resource/);
  await register(["harbour", "bridge"]);
  await reload(page);
  await select(page, "harbour");
  await page.getByRole("button", { name: "Edit" }).click();
  const form = page.getByRole("form", { name: "Edit image" });
  await expect(form.getByLabel("Title")).toBeFocused();
  await expectAccessible(page);
  await form.getByLabel("Title").fill("bridge");
  await form.getByRole("button", { name: "Save" }).click();
  await expect(form.getByRole("alert")).toContainText(/title/i);
  const [image] = (await listed()).filter(({ title }) => title === "harbour");
  await user.call(`/api/images/${image?.id}`, { method: "PATCH", body: { title: "harbour at noon" } });
  await form.getByLabel("Title").fill("harbour at dawn");
  await form.getByLabel("Description").fill("From the pier.");
  await form.getByRole("button", { name: "Save" }).click();
  await expect(form.getByRole("alert")).toContainText("harbour at noon");
  await expect(form.getByLabel("Title")).toHaveValue("harbour at dawn");
  await form.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(tile(page, "harbour at dawn")).toBeVisible();
  const now = (await listed()).find(({ id }) => id === image?.id);
  expect([now?.title, now?.description]).toEqual(["harbour at dawn", "From the pier."]);

  // In the large view, which stays open.
  await page.getByRole("button", { name: "Done" }).click();
  await tile(page, "harbour at dawn").click();
  const view = page.getByRole("dialog", { name: "harbour at dawn" });
  await view.getByRole("button", { name: "Edit" }).click();
  await form.getByLabel("Description").fill("");
  await page.keyboard.press("Escape");
  await expect(form).toHaveCount(0);
  await expect(view).toContainText("From the pier.");
  await expect(view.getByRole("button", { name: "Edit" })).toBeFocused();
});

test("what is typed before the image's present values arrive stays @narrow", async ({ page }) => {
  await register(["harbour"]);
  await reload(page);
  await select(page, "harbour");
  const [image] = await listed();
  await user.call(`/api/images/${image?.id}`, { method: "PATCH", body: { description: "By Ann." } });
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(`**/api/images/${image?.id}`, async (route) => {
    await released;
    await route.continue();
  });
  await page.getByRole("button", { name: "Edit" }).click();
  const form = page.getByRole("form", { name: "Edit image" });
  await form.getByLabel("Title").fill("harbour at dawn");
  release();
  await expect(form.getByLabel("Description")).toHaveValue("By Ann.");
  await expect(form.getByLabel("Title")).toHaveValue("harbour at dawn");
});

test("what is typed stays while the image changes hands: no key, click or late answer ends the edit @wide", async ({
  page,
}) => {
  await register(["bridge"]);
  await register(["harbour"]);
  await reload(page);
  await tile(page, "bridge").click();
  // Keys are heeded once it is open.
  await expect(async () => {
    await page.keyboard.press("ArrowLeft");
    await expect(page.getByRole("dialog", { name: "harbour" })).toBeVisible({ timeout: 500 });
  }).toPass();
  const form = page.getByRole("form", { name: "Edit image" });
  const edit = async (title: string) => {
    await page.getByRole("dialog", { name: title }).getByRole("button", { name: "Edit" }).click();
  };
  await edit("harbour");
  await form.getByLabel("Description").fill("From the pier.");
  await form.getByRole("button", { name: "Save" }).focus();
  await page.keyboard.press("ArrowRight");
  await page.mouse.click(200, 200);
  await expect(page.getByRole("button", { name: "Next" })).toBeHidden();
  await expect(form.getByLabel("Description")).toHaveValue("From the pier.");

  // The answer comes when the next image is being edited.
  let answer = () => {};
  const answered = new Promise<void>((resolve) => (answer = resolve));
  await page.route("**/api/images/*", async (route) => {
    if (route.request().method() === "PATCH") await answered;
    await route.continue();
  });
  const saved = page.waitForResponse((response) => response.request().method() === "PATCH");
  await form.getByRole("button", { name: "Save" }).click();
  await form.getByRole("button", { name: "Cancel" }).click();
  await page.keyboard.press("ArrowRight");
  await edit("bridge");
  await form.getByLabel("Title").fill("bridge at night");
  answer();
  await saved;
  await expect.poll(async () => (await listed()).map(({ description }) => description)).toContain("From the pier.");
  await expect(form.getByLabel("Title")).toHaveValue("bridge at night");
});

test("an error is seen over the large view, and stays when that is closed @narrow", async ({ page }) => {
  await register(["harbour"]);
  await reload(page);
  await page.route("**/api/images/*", (route) =>
    route.request().method() === "PATCH" ? route.abort() : route.continue(),
  );
  await tile(page, "harbour").click();
  const view = page.getByRole("dialog", { name: "harbour" });
  await view.getByRole("button", { name: "Make private" }).click();
  const notice = page.getByRole("alert").getByText("The service cannot be reached.");
  await expect(view.getByRole("alert")).toContainText("The service cannot be reached.");
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(view).toHaveCount(0);
  await expect(notice).toBeVisible();
  await page.getByRole("alert").getByRole("button", { name: "Close" }).click();
  await expect(notice).toHaveCount(0);
});

test("a change of many images goes on when the page is left, and closing it warns @wide", async ({ page }) => {
  await register(numbered(6));
  await reload(page);
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  await page.route("**/api/images/*", async (route) => {
    if (route.request().method() === "PATCH") await opened;
    await route.continue();
  });
  await select(page, ...numbered(6));
  await page.getByRole("button", { name: "Make private" }).click();
  await expect(page.getByText("0 of 6")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByText("0 of 6")).toBeVisible();
  await navigate(page, "Account");
  await expect(page.getByRole("heading", { level: 1, name: "Account" })).toBeVisible();
  const isHeld = await page.evaluate(() => !dispatchEvent(new Event("beforeunload", { cancelable: true })));
  expect(isHeld).toBe(true);
  open();
  await expect(page.getByText("Made private: 6")).toBeVisible();
  expect((await listed()).every(({ visibility }) => visibility === "private")).toBe(true);
});

test("images are made private and public, filtered and found by their titles @wide", async ({ page }) => {
  await register(["cat one", "cat two", "dog"]);
  await reload(page);
  await select(page, "cat one", "dog");
  await page.getByRole("button", { name: "Make private" }).click();
  await expect(page.getByText("Made private: 2")).toBeVisible();
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByLabel("Visibility").selectOption("Private");
  await expect(tiles(page)).toHaveCount(2);
  await page.getByLabel("Search").fill("cat");
  await expect(tiles(page)).toHaveCount(1);
  await expect(page).toHaveURL(/visibility=private&search=cat/);
  await expect(page.getByLabel("Search")).toBeFocused();
  await page.getByLabel("Status").selectOption("Ready");
  await expect(page.getByText("No images match.")).toBeVisible();
  await page.getByLabel("Status").selectOption("All");
  await reload(page);
  await expect(page.getByLabel("Search")).toHaveValue("cat");
  await expect(tiles(page)).toHaveCount(1);
  await select(page, "cat one");
  await page.getByRole("button", { name: "Make public" }).click();
  await expect.poll(async () => (await listed()).filter(({ visibility }) => visibility === "private").length).toBe(1);
});

test("My images can be used by keyboard alone, and is accessible", async ({ page }) => {
  await register(["a", "b", "c"]);
  await reload(page);
  await expectAccessible(page);
  await tiles(page).first().focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("Shift+ArrowRight");
  await expect(page.getByText("2 selected", { exact: true })).toBeVisible();
  await page.keyboard.press("Control+a");
  await expect(page.getByText("3 selected", { exact: true })).toBeVisible();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Delete" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Undo" }).focus();
  await page.keyboard.press("Enter");
  await expect(tiles(page)).toHaveCount(3);
});

test("how an image was taken is shown, to others only if the owner lets them, and never where @wide", async ({
  page,
  browser,
}) => {
  await TestUser.assign(user.id, "Premium");
  const image = await user.upload("camera.jpg");
  await reload(page);
  await tile(page, image.title).click();
  const view = page.getByRole("dialog", { name: image.title });
  await view.getByRole("button", { name: "Details" }).click();
  const details = view.getByLabel("Details", { exact: true });
  for (const text of [
    "image/jpeg · 600 × 400",
    "9 Jul 2026, 18:23",
    "FUJIFILM X-T5",
    "1/250 s · f/2.8 · ISO 400 · 23 mm",
  ])
    await expect(details).toContainText(text);
  await expect(details.getByRole("link", { name: "48.208167, 16.374" })).toBeVisible();
  await expectAccessible(page);

  const visitor = await (await browser.newContext()).newPage();
  const visit = async () => {
    await visitor.goto(new URL(`/i/${image.id}`, page.url()).href);
    await visitor.getByRole("button", { name: "Details" }).click();
    await expect(visitor.getByLabel("Details", { exact: true })).toContainText("600 × 400");
    return visitor.getByLabel("Details", { exact: true }).innerText();
  };
  expect(await visit()).not.toContain("FUJIFILM");
  await view.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Let others see when and with what camera it was taken, never where").check();
  // The plan Premium publishes originals, but none that says where it was taken.
  await expect(page.getByText("The original is not public: it says where the picture was taken.")).toBeVisible();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Save" }).click();
  await expect(view.getByRole("button", { name: "Edit" })).toBeVisible();
  const seen = await visit();
  expect(seen).toContain("FUJIFILM X-T5");
  expect(seen).not.toContain("48.2");
  await visitor.context().close();
});

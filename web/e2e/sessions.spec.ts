import type { BrowserContext, Page, Route } from "@playwright/test";
import { expect, navigate, openAs, PASSWORD, test, tiles, TestUser } from "./fixtures";

const email = (page: Page) => page.getByLabel("Email", { exact: true });

/** Opens the page Account of a user in some tabs of one browser. */
async function openTabs(page: Page, user: TestUser, count: number): Promise<Page[]> {
  await openAs(page, user, "/account");
  const tabs = [page];
  while (tabs.length < count) tabs.push(await page.context().newPage());
  await Promise.all(tabs.slice(1).map((tab) => tab.goto("/account")));
  for (const tab of tabs) await expect(email(tab)).toHaveValue(user.email);
  return tabs;
}

/** Sends the renewals of a session on only when so many have come, and notes how each is answered. */
async function renewTogether(context: BrowserContext, count: number): Promise<number[]> {
  const statuses: number[] = [];
  let held: (() => void)[] = [];
  await context.route("**/api/auth/refresh", async (route) => {
    await new Promise<void>((send) => {
      held.push(send);
      if (held.length < count) return;
      for (const each of held) each();
      held = [];
    });
    await route.continue();
  });
  context.on("response", (response) => {
    if (response.url().endsWith("/api/auth/refresh")) statuses.push(response.status());
  });
  return statuses;
}

async function logOut(page: Page): Promise<void> {
  const menu = page.getByRole("button", { name: "Menu" });
  if (await menu.isVisible()) await menu.click();
  await page.getByRole("navigation").getByRole("button", { name: "Log out" }).click();
}

test("20: five tabs that refresh at once stay logged in @wide", async ({ page, context }) => {
  const user = await TestUser.create();
  const tabs = await openTabs(page, user, 5);
  const statuses = await renewTogether(context, tabs.length);

  // The next request of each is answered as one with a token that has expired.
  for (const tab of tabs) {
    await tab.route(
      "**/api/images?*",
      (route) => route.fulfill({ status: 401, contentType: "application/json", body: '{"message":"Unauthorized"}' }),
      { times: 1 },
    );
  }
  await Promise.all(tabs.map((tab) => navigate(tab, "My images")));
  for (const tab of tabs) await expect(tab.getByText("You have no images yet.")).toBeVisible();
  expect(statuses).toEqual(tabs.map(() => 200));

  // A page that is loaded anew has no token at all.
  await Promise.all(tabs.map((tab) => tab.reload()));
  for (const tab of tabs) await expect(tab.getByText("You have no images yet.")).toBeVisible();
  expect(statuses).toEqual([...tabs, ...tabs].map(() => 200));
});

test("20: a logout in one tab reaches all within a second @narrow", async ({ page }) => {
  const user = await TestUser.create();
  const tabs = await openTabs(page, user, 5);
  // Times that tabs can be compared by.
  await page.evaluate(() => {
    addEventListener(
      "click",
      () => Object.assign(window, { clicked: performance.timeOrigin + performance.now() }),
      true,
    );
  });
  for (const tab of tabs) {
    await tab.evaluate(() => {
      new MutationObserver((_, observer) => {
        if (document.querySelector("[autocomplete=username]")) return;
        Object.assign(window, { gone: performance.timeOrigin + performance.now() });
        observer.disconnect();
      }).observe(document.body, { subtree: true, childList: true });
    });
  }
  await logOut(page);
  for (const tab of tabs) await expect(email(tab)).toHaveCount(0);
  for (const tab of tabs.slice(1)) {
    await expect(tab.getByRole("main").getByRole("link", { name: "Log in" })).toBeVisible();
    await expect(tab.getByText(user.email)).toHaveCount(0);
  }
  const clicked = await page.evaluate(() => (window as unknown as { clicked: number }).clicked);
  for (const tab of tabs) {
    const gone = await tab.evaluate(() => (window as unknown as { gone: number }).gone);
    expect(gone - clicked).toBeLessThan(1000);
  }
});

test("20: after a logout Back shows nothing private @wide", async ({ page }) => {
  const user = await TestUser.create();
  const image = await user.upload("picture-0.jpg", { title: "Diary", visibility: "private" });
  await openAs(page, user);
  await expect(tiles(page)).toHaveCount(1);
  await page.goto(`/i/${image.id}`);
  await expect(page.getByRole("img", { name: "Diary" })).toBeVisible();
  await navigate(page, "Account");
  await expect(email(page)).toHaveValue(user.email);
  await logOut(page);
  await expect(page).toHaveURL(/\/$/);

  await page.goBack();
  await expect(page.getByText("Log in to see this page.")).toBeVisible();
  await expect(page.getByText(user.email)).toHaveCount(0);
  await page.goBack();
  await expect(page.getByRole("main").getByRole("alert")).toContainText("This image does not exist, or it is private.");
  await expect(page.getByRole("img")).toHaveCount(0);
  await page.goBack();
  await expect(page.getByText("Log in to see this page.")).toBeVisible();
  await expect(tiles(page)).toHaveCount(0);
});

interface Return {
  /** True for a page that the browser kept whole, and did not load anew. */
  persisted: boolean;
  /** Why not (<https://html.spec.whatwg.org/multipage/nav-history-apis.html#dom-notrestoredreasons>). */
  reasons: string[];
  tiles: number;
  text: string;
}

/** Reports by a channel what My images shows when it comes back: Playwright loses sight of a page that was kept. */
function tellOfReturns(): void {
  addEventListener("pageshow", ({ persisted }) => {
    const [navigation] = performance.getEntriesByType("navigation") as unknown as [
      { type: string; notRestoredReasons: { reasons: { reason: string }[] } | null },
    ];
    if (location.pathname !== "/images" || !(persisted || navigation.type === "back_forward")) return;
    const tell = () => {
      const text = document.body.innerText;
      const tiles = document.querySelectorAll("[data-id]").length;
      if (tiles === 0 && !text.includes("Log in to see this page.")) return requestAnimationFrame(tell);
      const reasons = navigation.notRestoredReasons?.reasons.map(({ reason }) => reason) ?? [];
      const channel = new BroadcastChannel("e2e");
      channel.postMessage({ persisted, reasons, tiles, text });
      channel.close();
    };
    // Once it is drawn.
    requestAnimationFrame(() => requestAnimationFrame(tell));
  });
}

test("20: after a logout Back shows nothing private that the browser kept @wide", async ({
  playwright,
  launchOptions,
  baseURL,
}) => {
  const user = await TestUser.create();
  await user.upload("picture-0.jpg", { title: "Diary", visibility: "private" });
  // Playwright turns the cache of whole pages off.
  const ignoreDefaultArgs = ["--disable-back-forward-cache"];
  // The headless shell has none.
  const executablePath = process.env.CHROMIUM ?? launchOptions.executablePath;
  const browser = await playwright.chromium.launch({ ...launchOptions, executablePath, ignoreDefaultArgs });
  const context = await browser.newContext({ baseURL });
  await context.addInitScript(tellOfReturns);
  const observer = await context.newPage();
  await openAs(observer, user, "/account");
  // It stays, whatever the other pages do.
  const listener = await context.newPage();
  await listener.goto("/robots.txt");
  await listener.evaluate(() => {
    const returns: unknown[] = [];
    Object.assign(window, { returns });
    new BroadcastChannel("e2e").onmessage = ({ data }) => returns.push(data);
  });
  const returns = () => listener.evaluate(() => (window as unknown as { returns: Return[] }).returns);

  const leaveAndComeBack = async (meanwhile: () => Promise<void>): Promise<Return> => {
    const page = await context.newPage();
    await page.goto("/images");
    await expect(tiles(page).first().locator("img")).toHaveJSProperty("complete", true);
    await page.goto("/robots.txt");
    await meanwhile();
    const before = (await returns()).length;
    await page.evaluate(() => history.back()).catch(() => undefined);
    await expect.poll(async () => (await returns()).length).toBeGreaterThan(before);
    const [back] = (await returns()).slice(before);
    if (!back) throw new Error("The page did not come back.");
    return back;
  };
  // A request that is in flight when the page is left keeps it out of the cache: then it is left once more.
  await expect(async () => {
    expect(await leaveAndComeBack(() => Promise.resolve())).toMatchObject({ persisted: true, tiles: 1 });
  }).toPass({ intervals: [0] });
  const afterLogout: Return[] = [];
  await expect(async () => {
    if (afterLogout.length > 0) await openAs(observer, user, "/account");
    const back = await leaveAndComeBack(() => logOut(observer));
    afterLogout.push(back);
    // The message of the logout takes a page out of the cache that was in it.
    expect(back.persisted ? ["broadcastchannel-message"] : back.reasons).toEqual(["broadcastchannel-message"]);
  }).toPass({ intervals: [0] });
  for (const { tiles, text } of afterLogout) {
    expect(tiles).toBe(0);
    expect(text).toContain("Log in to see this page.");
  }
  await browser.close();
});

test("20: a page that comes back and has missed the logout drops what is private @narrow", async ({ page }) => {
  const user = await TestUser.create();
  await openAs(page, user, "/account");
  await expect(email(page)).toHaveValue(user.email);
  await page.evaluate(() => {
    // As other tabs leave it, of which a page in the cache hears nothing.
    localStorage.removeItem("tintype.user");
    dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
  });
  await expect(page.getByText("Log in to see this page.")).toBeVisible();
  await expect(page.getByText(user.email)).toHaveCount(0);
});

test("20: “Log out everywhere” reaches the other tabs before the service answers, and they go on if it fails @wide", async ({
  page,
}) => {
  const user = await TestUser.create();
  const [, other] = await openTabs(page, user, 2);
  if (!other) throw new Error("There is no other tab.");
  const answers = [500, 200];
  const held: (() => void)[] = [];
  /** Lets the logout that the page has sent be answered. */
  const answer = async () => {
    await expect.poll(() => held.length).toBe(1);
    held.pop()?.();
  };
  await page.route("**/api/auth/logout", async (route) => {
    await new Promise<void>((resolve) => held.push(resolve));
    if (answers.shift() === 200) return route.continue();
    await route.fulfill({ status: 500, contentType: "application/json", body: '{"message":"Internal Server Error"}' });
  });
  const everywhere = page.getByRole("main").getByRole("button", { name: "Log out everywhere" });
  await everywhere.click();
  await expect(other.getByText("Log in to see this page.")).toBeVisible();
  await expect(other.getByText(user.email)).toHaveCount(0);
  await answer();
  // All sessions go on, and the user is told.
  await expect(page.getByRole("main").getByRole("alert")).toBeVisible();
  await expect(email(page)).toHaveValue(user.email);
  await expect(email(other)).toHaveValue(user.email);

  await everywhere.click();
  await expect(other.getByText("Log in to see this page.")).toBeVisible();
  await answer();
  await expect(page.getByText("You are logged out on all devices.")).toBeVisible();
  await expect(other.getByText(user.email)).toHaveCount(0);
});

/** Answers a tab's next list of images as one whose token has expired. */
async function refuseToken(page: Page): Promise<void> {
  await page.route(
    "**/api/images?*",
    (route) => route.fulfill({ status: 401, contentType: "application/json", body: '{"message":"Unauthorized"}' }),
    { times: 1 },
  );
}

test("7: a renewal that is under way when another user logs in in another tab does not hold the tab up @wide", async ({
  page,
  context,
}) => {
  const [first, second] = [await TestUser.create(), await TestUser.create()];
  await openAs(page, first, "/account");
  await expect(email(page)).toHaveValue(first.email);
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(
    "**/api/auth/refresh",
    async (route) => {
      await released;
      await route.continue();
    },
    { times: 1 },
  );
  await refuseToken(page);
  const held = page.waitForRequest("**/api/auth/refresh");
  await navigate(page, "My images");
  const renewal = await held;
  await openAs(await context.newPage(), second);
  await expect(page.getByText("You have no images yet.")).toBeVisible();
  release();
  await renewal.response();
  await navigate(page, "Account");
  await expect(email(page)).toHaveValue(second.email);
});

test("7: a tab that renews with another user's cookie shows that user, before it hears of the login @narrow", async ({
  page,
}) => {
  const [first, second] = [await TestUser.create(), await TestUser.create()];
  await openAs(page, first, "/account");
  await expect(email(page)).toHaveValue(first.email);
  // The answer to a login in another tab sets the cookie, and no message has come yet.
  const data = { email: second.email, password: PASSWORD, cookie: true };
  expect((await page.request.post("/api/auth/login", { data })).status()).toBe(200);
  await refuseToken(page);
  await navigate(page, "My images");
  await expect(page.getByText("You have no images yet.")).toBeVisible();
  // Usage is part of what the page knows of its user, without which nothing can be uploaded.
  await expect(page.getByText(/^0 images, /)).toBeVisible();
  await navigate(page, "Account");
  await expect(email(page)).toHaveValue(second.email);
});

test("a page that is loaded without a connection says so, and shows the user once there is one @narrow", async ({
  page,
  context,
}) => {
  const user = await TestUser.create();
  await openAs(page, user, "/account");
  await expect(email(page)).toHaveValue(user.email);
  const offline = (route: Route) => route.abort();
  await context.route("**/api/**", offline);
  await page.reload();
  const failure = page.getByText("The service cannot be reached.");
  await expect(failure).toBeVisible();
  // Who is logged in is not asked to log in.
  await expect(page.getByRole("link", { name: "Log in", includeHidden: true })).toHaveCount(0);
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(failure).toBeVisible();

  await context.unroute("**/api/**", offline);
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await expect(email(page)).toHaveValue(user.email);

  // A page that visitors see too is shown as the user's.
  const image = await user.upload("picture-1.jpg", { visibility: "private" });
  await context.route("**/api/**", offline);
  await page.goto(`/i/${image.id}`);
  await expect(failure).toBeVisible();
  await context.unroute("**/api/**", offline);
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await expect(page.getByRole("heading", { level: 1, name: image.title })).toBeVisible();
});

test("a token that the service no longer takes is renewed when Account reads the user @wide", async ({ page }) => {
  const user = await TestUser.create();
  await openAs(page, user);
  let refused: string | undefined;
  await page.route("**/api/me", (route) => {
    const token = route.request().headers()["authorization"];
    refused ??= token;
    return token === refused
      ? route.fulfill({ status: 401, contentType: "application/json", body: '{"message":"Unauthorized"}' })
      : route.continue();
  });
  await navigate(page, "Account");
  await expect(email(page)).toHaveValue(user.email);
  await expect(page.getByText(/Plan/).first()).toBeVisible();
  await expect(page.getByRole("alert")).not.toContainText("401");
  expect(refused).toBeDefined();
});

import { request, type Page } from "@playwright/test";
import type { Image, Link } from "../src/lib/http";
import { BUCKETS, call, drawn, expect, expectAccessible, navigate, openAs, test, TestUser } from "./fixtures";

const main = (page: Page) => page.getByRole("main");
const rows = (page: Page) => page.getByRole("list", { name: "Links" }).getByRole("listitem");

function create(user: TestUser, image: Image, fields: object = {}): Promise<Link> {
  return user.call<Link>("/api/expiring-links", {
    body: { base_image: image.id, expiry_in_seconds: 3600, ...fields },
  });
}

/** Opens the page of an image's links. */
async function openLinks(page: Page, user: TestUser, image: Image): Promise<void> {
  await openAs(page, user, `/links?image=${image.id}`);
  await expect(main(page)).toContainText(image.title);
}

for (const { zone, name, width } of [
  { zone: "Etc/GMT+8", name: "UTC-8", width: "@wide" },
  { zone: "Etc/GMT-13", name: "UTC+13", width: "@narrow" },
]) {
  test.describe(() => {
    test.use({ timezoneId: zone });

    test(`17: the expiry is the choice to the second, shown at ${name} ${width}`, async ({ page, owner: { user } }) => {
      const image = await user.upload("picture-3.jpg");
      await openLinks(page, user, image);
      for (const [choice, seconds] of [
        ["5 minutes", 300],
        ["8 hours", 28_800],
        ["Another time", 3723],
      ] as const) {
        await main(page).getByRole("button", { name: "Create link" }).click();
        const dialog = page.getByRole("dialog");
        await dialog.getByLabel("Expires in", { exact: true }).selectOption({ label: choice });
        if (choice === "Another time") {
          for (const [part, value] of Object.entries({ Hours: "9", Minutes: "2", Seconds: "3" })) {
            await dialog.getByLabel(part, { exact: true }).fill(value);
          }
          await dialog.getByRole("button", { name: "Create link" }).click();
          await expect(dialog.getByRole("alert").first()).toContainText("300 to 30,000 seconds");
          await dialog.getByLabel("Hours", { exact: true }).fill("1");
        }
        await dialog.getByRole("button", { name: "Create link" }).click();
        await expect(dialog.getByRole("heading", { name: "The link is ready" })).toBeVisible();
        const { results } = await user.call<{ results: Link[] }>(`/api/expiring-links?base_image=${image.id}&limit=1`);
        const { created_at = "", expires_at = "" } = results[0] ?? {};
        expect(Date.parse(expires_at) - Date.parse(created_at)).toBe(seconds * 1000);
        const local = new Intl.DateTimeFormat("en-GB", {
          day: "numeric",
          month: "short",
          year: "numeric",
          hour: "2-digit",
          minute: "2-digit",
          second: "2-digit",
          timeZone: zone,
          timeZoneName: "short",
        }).format(new Date(expires_at));
        expect(local).toContain(name.replace("UTC", "GMT"));
        await expect(dialog).toContainText(local);
        await dialog.getByRole("button", { name: "Close" }).click();
        await expect(rows(page).first()).toContainText(local);
      }
    });
  });
}

test("18: “Copy link” copies the URL alone, also where the clipboard is refused @wide", async ({
  page,
  context,
  owner,
}) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const image = await owner.user.upload("picture-4.jpg");
  const { link_url } = await create(owner.user, image, { description: "For Zoë" });
  await openLinks(page, owner.user, image);
  const copy = rows(page).getByRole("button", { name: "Copy link" });
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());

  await copy.click();
  await expect(rows(page).getByText("Link copied")).toBeVisible();
  expect(await clipboard()).toBe(link_url);

  // The older way.
  await page.evaluate(() => navigator.clipboard.writeText("something else"));
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException("", "NotAllowedError"));
  });
  await copy.click();
  await expect.poll(clipboard).toBe(link_url);
  await expect(copy).toBeFocused();

  // By hand.
  await page.evaluate(() => (document.execCommand = () => false));
  await copy.click();
  const url = rows(page).getByRole("textbox", { name: "URL" });
  await expect(url).toHaveValue(link_url);
  await expect(url).toBeFocused();
  expect(await page.evaluate(() => getSelection()?.toString())).toBe(link_url);
  await expectAccessible(page);
});

test("links are changed, given a new URL, shown as a QR code and revoked @narrow", async ({
  page,
  owner: { user },
}) => {
  const image = await user.upload("picture-5.jpg");
  const first = await create(user, image, { max_downloads: 3, password: "open sesame", description: "For Zoë" });
  await openLinks(page, user, image);
  const row = rows(page).first();
  await expect(row).toContainText("3 of 3 left");
  await expect(row).toContainText("For Zoë");
  await row.getByRole("button", { name: "Show QR code" }).click();
  await expect(row.getByRole("img", { name: `QR code of ${first.link_url}` })).toBeVisible();
  await expectAccessible(page);

  await row.getByRole("button", { name: "Change" }).click();
  const dialog = page.getByRole("dialog", { name: "Change link" });
  await expect(dialog.getByLabel("Maximum downloads", { exact: true })).toHaveValue("3");
  await dialog.getByLabel("Expires in", { exact: true }).selectOption({ label: "4 hours" });
  await expect(dialog).toContainText("The time starts again when you save");
  await dialog.getByLabel("Maximum downloads", { exact: true }).fill("none");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByRole("alert").first()).toContainText("Enter a whole number");
  await dialog.getByLabel("Maximum downloads", { exact: true }).fill("7");
  await dialog.getByLabel("Remove the password").check();

  // Somebody else changes it first.
  await user.call(`/api/expiring-links/${first.id}`, { method: "PATCH", body: { description: "For Yan" } });
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByRole("alert").first()).toContainText("changed elsewhere");
  await expect(dialog.getByLabel("Description", { exact: true })).toHaveValue("For Yan");
  await dialog.getByLabel("Maximum downloads", { exact: true }).fill("7");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toHaveCount(0);
  await expect(row.getByRole("button", { name: "Change" })).toBeFocused();
  await expect(row).toContainText("7 of 7 left");
  const changed = await user.call<Link>(`/api/expiring-links/${first.id}`);
  expect(changed).toMatchObject({ max_downloads: 7, has_password: false, description: "For Yan" });
  expect(changed).toMatchObject({ expiry_in_seconds: 14_400, link_url: first.link_url });

  await row.getByRole("button", { name: "New URL" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "New URL" }).click();
  await expect(row).not.toContainText(first.link_url);
  const rotated = await user.call<Link>(`/api/expiring-links/${first.id}`);
  await expect(row).toContainText(rotated.link_url);

  await row.getByRole("button", { name: "Revoke" }).click();
  await expectAccessible(page);
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await expect(rows(page)).toHaveCount(0);
  await expect(page.getByRole("heading", { name: "Links", level: 1 })).toBeFocused();
  await expect(user.call(`/api/expiring-links/${first.id}`)).rejects.toThrow("404");
});

test("Links lists all links a page at a time, and those of one image @wide", async ({
  page,
  owner: { user, image },
}) => {
  const other = await user.upload("picture-6.jpg");
  await Promise.all(Array.from({ length: 21 }, () => create(user, image)));
  const link = await create(user, other, { description: "Of the other one" });
  await openAs(page, user);
  await navigate(page, "Links");
  await expect(page).toHaveTitle(/^Links/);
  await expect(rows(page)).toHaveCount(20);
  // Coming back to the page reads the list anew; what is asked for meanwhile comes once.
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/api/expiring-links?*", async (route) => {
    await released;
    await route.continue().catch(() => undefined);
  });
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  const more = main(page).getByRole("button", { name: "Show more links" });
  await more.click();
  await more.click({ force: true });
  release();
  await expect(rows(page).nth(20)).toBeVisible();
  const urls = await rows(page).locator(".url").allInnerTexts();
  expect(new Set(urls).size).toBe(urls.length);
  await rows(page).filter({ hasText: link.description }).getByRole("link", { name: "Links of this image" }).click();
  await expect(page).toHaveURL(new RegExp(`image=${other.id}`));
  await expect(rows(page)).toHaveCount(1);
  await main(page).getByRole("link", { name: "Show the links of all images" }).click();
  await expect(rows(page)).toHaveCount(20);
});

test("a link that is revoked while the list is read anew stays away @wide", async ({
  page,
  owner: { user, image },
}) => {
  await create(user, image);
  await openAs(page, user, "/links");
  await expect(rows(page).first()).toBeVisible();
  const count = await rows(page).count();
  // The answer is older than the revocation.
  let [noteRead, release] = [() => {}, () => {}];
  const isRead = new Promise<void>((resolve) => (noteRead = resolve));
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(
    "**/api/expiring-links?*",
    async (route) => {
      const response = await route.fetch();
      noteRead();
      await released;
      await route.fulfill({ response }).catch(() => undefined);
    },
    { times: 1 },
  );
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await isRead;
  await rows(page).first().getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await expect(rows(page)).toHaveCount(count - 1);
  release();
  await drawn(page);
  await expect(rows(page)).toHaveCount(count - 1);
});

test("19: opening a link's page uses no download, nor does a robot's preview @wide", async ({
  page,
  owner: { user },
}) => {
  const image = await user.upload("picture-7.jpg");
  const { id, link_url } = await create(user, image, { max_downloads: 1 });
  const robots = await request.newContext();
  for (const agent of [
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "WhatsApp/2.23.20.0",
    "Twitterbot/1.0",
    "facebookexternalhit/1.1",
  ]) {
    for (const Accept of ["*/*", "text/html,application/xhtml+xml"]) {
      const headers = { "User-Agent": agent, Accept };
      expect((await robots.head(link_url, { headers, maxRedirects: 0 })).status()).toBeLessThan(400);
      expect((await robots.get(link_url, { headers, maxRedirects: 0 })).status()).toBe(200);
    }
  }
  await robots.dispose();
  await openLinks(page, user, image);
  await expect(rows(page)).toContainText("1 of 1 left");

  const visitor = await page.context().newPage();
  await visitor.goto(link_url);
  await expect(visitor.getByRole("button", { name: "Download" })).toBeVisible();
  expect(await user.call<Link>(`/api/expiring-links/${id}`)).toMatchObject({ downloads: 0 });
  await visitor.getByRole("button", { name: "Download" }).click();
  await visitor.waitForURL((url) => url.origin === BUCKETS);
  await visitor.close();
  await page.reload();
  await expect(rows(page)).toContainText("None left of 1");
});

test("a user whose plan has no links sees why, and can revoke older links @narrow", async ({ page }) => {
  const user = await TestUser.create({ plan: "Enterprise" });
  const link = await create(user, await user.upload("picture-0.jpg"));
  await TestUser.assign(user.id, "Basic");
  await openAs(page, user);
  await navigate(page, "Links");
  await expect(main(page)).toContainText("Your plan, Basic, has no expiring links.");
  await expect(rows(page).getByRole("button", { name: "Change" })).toHaveCount(0);
  await expectAccessible(page);
  await rows(page).getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await expect(rows(page)).toHaveCount(0);
  await expect(call(`/api/expiring-links/${link.id}`, { token: user.token })).rejects.toThrow("404");
});

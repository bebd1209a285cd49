import { expect, navigate, openAs, test, TestUser } from "./fixtures";
import { folderOf, photo, photos } from "./photos";
import { choose, drop, heading, holdPuts, panel, row } from "./uploads";

test("22: a page whose chunk is missing after a deployment reloads once @narrow", async ({ page, problems }) => {
  problems.allow(/Failed to fetch dynamically imported module/);
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1, name: "Explore" })).toBeVisible();
  let loads = 0;
  page.on("domcontentloaded", () => loads++);
  await page.route("**/assets/Signup-*.js", (route) => route.fulfill({ status: 404, body: "" }));
  await navigate(page, "Sign up");
  // The new page misses it, too: it does not reload again, but says so.
  const reload = page.getByRole("status").getByRole("button", { name: "Reload" });
  await expect(reload).toBeVisible();
  expect(loads).toBe(1);
  await page.unroute("**/assets/Signup-*.js");
  await reload.click();
  await expect(page.getByRole("heading", { level: 1, name: "Sign up" })).toBeVisible();
  await expect(reload).toHaveCount(0);
});

test("22: a missing chunk does not reload the page during an upload @wide", async ({ page, problems }) => {
  problems.allow(/Failed to fetch dynamically imported module/);
  const user = await TestUser.create();
  await openAs(page, user);
  const release = await holdPuts(page);
  await choose(page, await photos(1));
  await expect(row(page, "photo-0.jpg")).toContainText("Uploading");
  let loads = 0;
  page.on("domcontentloaded", () => loads++);
  await page.route("**/assets/Links-*.js", (route) => route.fulfill({ status: 404, body: "" }));
  await navigate(page, "Links");
  const reload = page.getByRole("status").getByRole("button", { name: "Reload" });
  await expect(reload).toBeVisible();
  await expect(row(page, "photo-0.jpg")).toContainText("Uploading");
  release();
  await expect(heading(page)).toHaveText("Upload complete");
  expect(loads).toBe(0);
  await page.unroute("**/assets/Links-*.js");
  await reload.click();
  await expect(page.getByRole("main")).toContainText("has no expiring links");
  expect(loads).toBe(1);
});

test("22: files that are dropped on a page without the code of uploads do not vanish silently @narrow", async ({
  page,
  problems,
}) => {
  problems.allow(/Failed to fetch dynamically imported module/);
  await openAs(page, await TestUser.create());
  await page.route("**/assets/upload*.js", (route) => route.fulfill({ status: 404, body: "" }));
  await page.reload();
  const reload = page.getByRole("status").getByRole("button", { name: "Reload" });
  await expect(reload).toBeVisible();
  const folder = await folderOf({ "late.jpg": (await photo("late")).buffer });
  await drop(page, folder);
  await expect(page.getByRole("alert")).toContainText("Reload the page and drop them again.");
  await page.unroute("**/assets/upload*.js");
  await Promise.all([page.waitForEvent("load"), reload.click()]);
  await drop(page, folder);
  await expect(panel(page)).toContainText("1 done");
});

test("22: a page that cannot be loaded without a connection says so, and is there after a retry @narrow", async ({
  page,
  context,
  problems,
}) => {
  problems.allow(/Failed to fetch dynamically imported module/);
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1, name: "Explore" })).toBeVisible();
  let loads = 0;
  page.on("domcontentloaded", () => loads++);
  await context.setOffline(true);
  await navigate(page, "Sign up");
  await expect(page.getByRole("main")).toContainText("The service cannot be reached.");
  await context.setOffline(false);
  await page.getByRole("main").getByRole("button", { name: "Retry" }).click();
  await expect(page.getByRole("main").getByLabel("Email", { exact: true })).toBeVisible();
  expect(loads).toBe(0);
});

test("“Skip to content” leaves the page as it is @narrow", async ({ page }) => {
  await page.goto("/signup");
  const name = page.getByLabel("Name", { exact: true });
  await name.fill("Ada");
  await page.getByRole("link", { name: "Skip to content" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.locator("#main")).toBeFocused();
  await expect(name).toHaveValue("Ada");
  await page.goBack();
  await expect(name).toHaveValue("Ada");
});

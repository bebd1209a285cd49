import { randomUUID } from "node:crypto";
import type { Page } from "@playwright/test";
import { anAdmin, call, expect, expectAccessible, navigate, openAs, test, TestUser } from "./fixtures";

const main = (page: Page) => page.getByRole("main");
const planRow = (page: Page, name: string) => page.getByRole("table").getByRole("row", { name });
const newName = () => `Plan-${randomUUID().slice(0, 8)}`;

test("an ordinary user is told that Admin is for admins @narrow", async ({ page }) => {
  const user = await TestUser.create();
  await openAs(page, user);
  await expect(page.getByRole("navigation").getByRole("link", { name: "Admin" })).toHaveCount(0);
  await page.goto("/admin");
  await expect(main(page)).toContainText("Only admins can see this page.");
  await expect(page.getByRole("table")).toHaveCount(0);
});

test("an admin makes, changes and removes plans @wide", async ({ page }) => {
  test.slow();
  const admin = await anAdmin();
  const name = newName();
  await openAs(page, admin);
  await navigate(page, "Admin");
  await expect(page).toHaveTitle(/^Admin/);
  await expect(planRow(page, "Premium")).toContainText("200, 400 px");
  await expectAccessible(page);

  await main(page).getByRole("button", { name: "New plan" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name", { exact: true }).fill("not a name");
  // A selection that is drawn beyond the dialog does not close it; a click beside it does.
  const place = await dialog.getByLabel("Name", { exact: true }).boundingBox();
  if (!place) throw new Error("The field is not shown.");
  await page.mouse.move(place.x + 60, place.y + 10);
  await page.mouse.down();
  await page.mouse.move(10, place.y + 10);
  await page.mouse.up();
  await expect(dialog.getByLabel("Name", { exact: true })).toHaveValue("not a name");
  await page.mouse.click(10, 10);
  await expect(dialog).toHaveCount(0);
  await main(page).getByRole("button", { name: "New plan" }).click();
  await dialog.getByLabel("Name", { exact: true }).fill("not a name");
  await dialog.getByLabel("Thumbnail heights", { exact: true }).fill("100, 9000");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByLabel("Name", { exact: true })).toHaveAccessibleDescription(/letters, digits/);
  await expect(dialog.getByLabel("Thumbnail heights", { exact: true })).toHaveAccessibleDescription(
    /Thumbnail heights must be 16 to 4096/,
  );
  await expectAccessible(page);
  await dialog.getByLabel("Name", { exact: true }).fill(name);
  await dialog.getByLabel("Thumbnail heights", { exact: true }).fill("100");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(planRow(page, name)).toContainText("100 px");

  const user = await TestUser.create({ plan: name });
  await planRow(page, name).getByRole("button", { name: "Change" }).click();
  await expect(dialog).toContainText("Nothing changes.");
  await dialog.getByLabel("Thumbnail heights", { exact: true }).fill("150");
  await dialog.getByLabel("WebP thumbnails").check();
  await dialog.getByLabel("Expiring links").check();
  await expect(dialog).toContainText("Thumbnails of 150 px are built");
  await expect(dialog).toContainText("Thumbnails of 100 px are deleted");
  await expect(dialog).toContainText("thumbnails are WebP");
  await expect(dialog).toContainText("Expiring links can be created");

  // Another admin is faster.
  const plan = await call<Record<string, unknown>>(`/api/plans/${name}`);
  delete plan.name;
  await admin.call(`/api/plans/${name}`, { method: "PUT", body: { ...plan, max_images: 7 } });
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByRole("alert").first()).toContainText("changed by another admin");
  await expect(dialog.getByLabel("Maximum images", { exact: true })).toHaveValue("7");
  await dialog.getByLabel("Thumbnail heights", { exact: true }).fill("150");
  await dialog.getByLabel("WebP thumbnails").check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toHaveCount(0);
  await expect(planRow(page, name)).toContainText("150 px");
  await expect(planRow(page, name).getByRole("cell").nth(1)).toHaveText("Yes");
  await expect(page.getByRole("progressbar", { name: new RegExp(name) })).toBeVisible();
  await expect(main(page)).toContainText("Finished:");

  await planRow(page, name).getByRole("button", { name: "Remove" }).click();
  await dialog.getByRole("button", { name: "Remove" }).click();
  await expect(dialog.getByRole("alert").first()).toContainText("The plan is in use");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await TestUser.assign(user.id, "Basic");
  await planRow(page, name).getByRole("button", { name: "Remove" }).click();
  await dialog.getByRole("button", { name: "Remove" }).click();
  await expect(planRow(page, name)).toHaveCount(0);
});

test("a search aborts the reading of the whole list, whose late answer would replace its own @wide", async ({
  page,
}) => {
  const admin = await anAdmin();
  const user = await TestUser.create();
  await page.route(/\/api\/users$/, () => {});
  await openAs(page, admin);
  const asked = page.waitForRequest(/\/api\/users$/);
  await navigate(page, "Admin");
  await asked;
  const aborted = page.waitForEvent("requestfailed", (request) => request.url().endsWith("/api/users"));
  await page.getByLabel("Search", { exact: true }).fill(user.email);
  await page.getByLabel("Search", { exact: true }).press("Enter");
  await aborted;
  const row = page.getByRole("list", { name: "Users" }).getByRole("listitem");
  await expect(row).toHaveCount(1);
  await expect(row).toContainText(user.email);
});

test("an admin finds a user by e-mail, and puts the user on a plan or on none @narrow", async ({ page }) => {
  const admin = await anAdmin();
  const user = await TestUser.create({ plan: "Basic" });
  const image = await user.upload("picture-1.jpg");
  await openAs(page, admin);
  await navigate(page, "Admin");
  await page.getByLabel("Search", { exact: true }).fill(user.email.slice(0, 30));
  await page.getByLabel("Search", { exact: true }).press("Enter");
  const row = page.getByRole("list", { name: "Users" }).getByRole("listitem");
  await expect(row).toHaveCount(1);
  await expect(row).toContainText(user.email);
  await expect(row).toContainText("Plan: Basic");

  await row.getByRole("button", { name: "Change plan" }).click();
  const dialog = page.getByRole("dialog", { name: `Plan of ${user.email}` });
  await dialog.getByLabel("Plan", { exact: true }).selectOption("Premium");
  await expect(dialog).toContainText("Thumbnails of 400 px are built");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Change plan" }).click();
  await expect(row).toContainText("Plan: Premium");
  await expect(row.getByRole("progressbar")).toBeVisible();
  await expect(row).toContainText("Finished: 1 image");
  const { thumbnails } = await user.call<{ thumbnails: { height: number }[] }>(`/api/images/${image.id}`);
  expect(thumbnails.map(({ height }) => height)).toEqual([200, 400]);

  await row.getByRole("button", { name: "Change plan" }).click();
  await dialog.getByLabel("Plan", { exact: true }).selectOption("No plan");
  await expect(dialog).toContainText("All thumbnails are deleted");
  await dialog.getByRole("button", { name: "Change plan" }).click();
  await expect(row).toContainText("Plan: none");
  expect(await user.call("/api/me")).toMatchObject({ plan: null });

  await page.getByLabel("Search", { exact: true }).fill(`nobody-${randomUUID()}`);
  await page.getByLabel("Search", { exact: true }).press("Enter");
  await expect(main(page)).toContainText("No user has an e-mail address that begins so.");
});

import { expect, expectAccessible, findTile, navigate, test, tiles } from "./fixtures";

test("Explore shows the public images of all users, and is accessible", async ({ page, artist }) => {
  // Newest first: other tests' images are between older ones.
  const image = await artist.upload("picture-0.jpg");
  await page.goto("/");
  await expect(page).toHaveTitle(/^Explore/);
  await expect(page.getByRole("heading", { level: 1, name: "Explore" })).toBeVisible();
  await findTile(page, image.title);
  await expect(page.getByRole("navigation").getByRole("link", { name: "My images" })).toHaveCount(0);
  await expectAccessible(page);
});

test("14: closing the large view returns the focus to the tile", async ({ page, artist }) => {
  void artist;
  await page.goto("/");
  const tile = tiles(page).first();
  const name = (await tile.getAttribute("aria-label")) ?? "";
  await tile.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name });
  await expect(dialog).toBeVisible();
  await expect(page).toHaveURL(/\/i\//);
  await expect(dialog.getByRole("img", { name })).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("ArrowRight");
  const next = (await tiles(page).nth(1).getAttribute("aria-label")) ?? "";
  await expect(page.getByRole("dialog", { name: next })).toBeVisible();
  await page.keyboard.press("ArrowLeft");
  await expect(page.getByRole("dialog", { name })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(page).toHaveURL(/\/$/);
  await expect(tile).toBeFocused();
});

test("a path that the page does not have shows so, with status 404 @narrow", async ({ page }) => {
  const response = await page.goto("/no/such/page");
  expect(response?.status()).toBe(404);
  await expect(page.getByRole("heading", { level: 1, name: "This page does not exist" })).toBeVisible();
  await expect(page).toHaveTitle(/^This page does not exist/);
  await expectAccessible(page);
  await page.getByRole("main").getByRole("link", { name: "Go to Explore" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Explore" })).toBeVisible();
});

test("an image whose last rows are missing says so @narrow", async ({ page, artist }) => {
  const image = await artist.upload("picture-0.jpg", { missing: 40 });
  expect(image.warnings).toEqual(["truncated"]);
  await page.goto(`/i/${image.id}`);
  await expect(page.getByText("The file is incomplete: its last rows are missing and were filled.")).toBeVisible();
});

test("Explore shows what is new when one comes to it again @wide", async ({ page, artist }) => {
  await page.goto("/");
  await expect(tiles(page).first()).toBeVisible();
  const image = await artist.upload("picture-3.jpg", { title: `new ${Date.now()}` });
  await navigate(page, "Sign up");
  await navigate(page, "Explore");
  await expect(await findTile(page, image.title)).toBeVisible();
});

test("the page is there where it did not come over HTTPS @narrow", async ({ page }) => {
  // As in a context that browsers call insecure.
  await page.addInitScript(() => Object.defineProperty(crypto, "randomUUID", { value: undefined }));
  await page.goto("/");
  await navigate(page, "Sign up");
  await expect(page.getByRole("heading", { level: 1, name: "Sign up" })).toBeVisible();
});

import { expect, expectAccessible, openAs, test, TestUser } from "./fixtures";

test("calls can be tried in the API documentation with the session of the page @wide", async ({ page }) => {
  test.slow();
  const user = await TestUser.create();
  // axe reads all elements, of which the whole document has thousands.
  await page.route("**/api/openapi.json", async (route) => {
    const document = (await (await route.fetch()).json()) as { paths: Record<string, unknown> };
    const { "/api/me": me, "/api/images": images } = document.paths;
    await route.fulfill({ json: { ...document, paths: { "/api/me": me, "/api/images": images } } });
  });
  await openAs(page, user);
  await page.goto("/api/docs");
  const operation = page.locator("#operations-Accounts-get_me");
  await operation
    .getByRole("button", { name: /\/api\/me/ })
    .first()
    .click();
  await operation.getByRole("button", { name: "Try it out" }).click();
  await operation.getByRole("button", { name: "Execute" }).click();
  await expect(operation.locator(".live-responses-table").getByText(user.email)).toBeVisible();
  const other = page.locator("#operations-Images-create_image");
  await other.getByRole("button").first().click();
  await expect(other.getByText("Parameters")).toBeVisible();
  // The rest is as without a login; one operation's answers are like another's.
  await expectAccessible(page, "#operations-Accounts-get_me", "#operations-Images-create_image .opblock-section");
});

test("the API documentation is accessible @wide", async ({ page }) => {
  test.slow();
  await page.goto("/api/docs");
  await expect(page.locator("#operations-Images-explore")).toBeVisible();
  await expectAccessible(page);
});

test("the API documentation is there without a login, and is as wide as the screen @narrow", async ({ page }) => {
  await page.goto("/api/docs");
  await expect(page.locator(".info .title")).toContainText("Tintype");
  await expect(page.locator("#operations-Images-explore")).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await page.getByRole("link", { name: "Tintype", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Explore", level: 1 })).toBeAttached();
});

import { expect, expectAccessible, openAs, test, TestUser } from "./fixtures";

test("calls can be tried in the API documentation with the session of the page @wide", async ({ page }) => {
  // axe reads a document of thousands of elements.
  test.slow();
  const user = await TestUser.create();
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
  // The rest is as without a login.
  await expectAccessible(page, "#operations-Accounts-get_me", "#operations-Images-create_image");
});

test("the API documentation is there without a login", async ({ page }) => {
  test.slow();
  await page.goto("/api/docs");
  await expect(page.locator(".info .title")).toContainText("Tintype");
  await expect(page.locator("#operations-Images-explore")).toBeVisible();
  await expectAccessible(page);
  await page.getByRole("link", { name: "Tintype", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Explore", level: 1 })).toBeAttached();
});

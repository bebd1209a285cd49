import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Locator, Page } from "@playwright/test";
import {
  aws,
  call,
  expect,
  expectAccessible,
  mailedCode,
  navigate,
  openAs,
  PASSWORD,
  test,
  TestUser,
  variable,
} from "./fixtures";
import { PICTURES } from "./setup";

const OTHER_PASSWORD = "Another-Harbour-43";

const field = (page: Page, name: string) => page.getByLabel(name, { exact: true });
const main = (page: Page) => page.getByRole("main");
const myImages = (page: Page) => page.getByRole("heading", { name: "My images", level: 1 });

/** Fills a field as a password manager does: without a key or a click. */
async function fillByManager(input: Locator, value: string): Promise<void> {
  await input.evaluate((element: HTMLInputElement, value) => {
    element.value = value;
    element.dispatchEvent(new Event("input", { bubbles: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  }, value);
}

test("a person signs up, confirms, uploads an image and creates a link", async ({ page }) => {
  test.slow();
  const email = `bea-${randomUUID()}@example.com`;
  await page.goto("/signup");
  await expect(page).toHaveTitle(/^Sign up/);
  await field(page, "Name").fill("Bea Sailor");
  await field(page, "Email").fill(email);
  await field(page, "Password").fill("short");
  await field(page, "Password").press("Enter");
  await expect(field(page, "Password")).toHaveAccessibleDescription(/at least \d+ characters/);
  await expect(field(page, "Password")).toBeFocused();
  await expectAccessible(page);
  await field(page, "Password").fill(PASSWORD);
  await field(page, "Password").press("Enter");

  await expect(page).toHaveURL(/\/confirm$/);
  await expect(field(page, "Email")).toHaveValue(email);
  const first = await mailedCode(email);
  await field(page, "Code").fill(first === "000000" ? "000001" : "000000");
  await main(page).getByRole("button", { name: "Confirm" }).click();
  await expect(main(page).getByRole("alert")).toHaveText("The code is wrong.");
  await expectAccessible(page);
  await main(page).getByRole("button", { name: "Send a new code" }).click();
  await field(page, "Code").fill(await mailedCode(email, 1));
  await field(page, "Code").press("Enter");
  await expect(myImages(page)).toBeVisible();

  // Links need another plan.
  await navigate(page, "Links");
  await expect(main(page)).toContainText("has no expiring links");
  await expect(main(page).getByRole("button", { name: "Create link" })).toHaveCount(0);
  const { access_token: token } = await call<{ access_token: string }>("/api/auth/login", {
    body: { email, password: PASSWORD },
  });
  const { id } = await call<{ id: string }>("/api/me", { token });
  await TestUser.assign(id, "Enterprise");

  await page.reload();
  await navigate(page, "My images");
  await page.getByLabel("Choose files", { exact: true }).setInputFiles(`${PICTURES}picture-0.jpg`);
  await expect(page.getByRole("heading", { name: "Upload complete" })).toBeVisible({ timeout: 30_000 });
  await page.getByRole("list", { name: "My images" }).locator("[data-id]").first().press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Create link" }).click();
  const dialog = page.getByRole("dialog", { name: "Create link" });
  await expectAccessible(page);
  await dialog.getByLabel("Expires in", { exact: true }).selectOption({ label: "8 hours" });
  await dialog.getByRole("button", { name: "Create link" }).click();
  const created = page.getByRole("dialog", { name: "The link is ready" });
  await expect(created).toBeVisible();
  const { results } = await call<{ results: { link_url: string; expiry_in_seconds: number }[] }>(
    "/api/expiring-links",
    { token },
  );
  await expect(created).toContainText(results[0]?.link_url ?? "?");
  expect(results[0]?.expiry_in_seconds).toBe(28_800);
});

test("21: what a password manager fills in can be submitted @wide", async ({ page }) => {
  const user = await TestUser.create();
  const kinds: Record<string, Record<string, string>> = {
    "/login": { Email: "username", Password: "current-password" },
    "/signup": { Email: "username", Password: "new-password" },
    "/confirm": { Email: "username", Code: "one-time-code" },
    "/reset": { Email: "username" },
  };
  for (const [path, fields] of Object.entries(kinds)) {
    await page.goto(path);
    for (const [name, autocomplete] of Object.entries(fields)) {
      await expect(field(page, name)).toHaveAttribute("autocomplete", autocomplete);
      await expect(field(page, name)).toHaveAttribute("name", /./);
    }
    await expect(page.locator("main form[method=post] button.primary")).toHaveCount(1);
  }
  await page.goto("/login");
  await fillByManager(field(page, "Email"), user.email);
  await fillByManager(field(page, "Password"), PASSWORD);
  await page.locator("main form").evaluate((form: HTMLFormElement) => form.requestSubmit());
  await expect(myImages(page)).toBeVisible();
});

test("a login returns to where one was, and a wrong password is told @narrow", async ({ page }) => {
  const user = await TestUser.create();
  await page.goto("/links?image=none");
  await main(page).getByRole("link", { name: "Log in" }).click();
  await field(page, "Email").fill(user.email);
  await field(page, "Password").fill("Wrong-Harbour-42");
  await main(page).getByRole("button", { name: "Log in" }).click();
  await expect(main(page).getByRole("alert")).toHaveText("Wrong e-mail address or password.");
  await expectAccessible(page);
  await field(page, "Password").fill(PASSWORD);
  await field(page, "Password").press("Enter");
  await expect(page).toHaveURL(/\/links\?image=none$/);
  await expect(page.getByRole("heading", { name: "Links", level: 1 })).toBeVisible();
});

test("an unconfirmed user is led from the login to the code @wide", async ({ page }) => {
  const email = `cyd-${randomUUID()}@example.com`;
  await call("/api/auth/signup", { body: { email, password: PASSWORD, name: "Cyd" } });
  await mailedCode(email);
  await page.goto("/login?next=%2Faccount");
  await field(page, "Email").fill(email);
  await field(page, "Password").fill(PASSWORD);
  await field(page, "Password").press("Enter");
  await expect(page).toHaveURL(/\/confirm\?next=/);
  await field(page, "Code").fill(await mailedCode(email, 1));
  await field(page, "Code").press("Enter");
  await expect(page.getByRole("heading", { name: "Account", level: 1 })).toBeVisible();
});

test("who must change the password does so while logging in @narrow", async ({ page }) => {
  const user = await TestUser.create();
  await aws("cognito-idp", "AWSCognitoIdentityProviderService.AdminSetUserPassword", {
    UserPoolId: variable("TINTYPE_USER_POOL_ID"),
    Username: user.email,
    Password: OTHER_PASSWORD,
    Permanent: false,
  });
  await page.goto("/login");
  await field(page, "Email").fill(user.email);
  await field(page, "Password").fill(OTHER_PASSWORD);
  await field(page, "Password").press("Enter");
  await expect(field(page, "New password")).toBeFocused();
  await expect(field(page, "New password")).toHaveAttribute("autocomplete", "new-password");
  await expectAccessible(page);
  await field(page, "New password").fill("short");
  await field(page, "New password").press("Enter");
  await expect(field(page, "New password")).toHaveAccessibleDescription(/at least \d+ characters/);
  await field(page, "New password").fill(PASSWORD);
  await field(page, "New password").press("Enter");
  await expect(myImages(page)).toBeVisible();
});

test("a forgotten password is replaced by a mailed code @wide", async ({ page }) => {
  const user = await TestUser.create();
  await page.goto("/login");
  await main(page).getByRole("link", { name: "Reset your password" }).click();
  await field(page, "Email").fill(user.email);
  await expectAccessible(page);
  await field(page, "Email").press("Enter");
  await expect(field(page, "Code")).toHaveAttribute("autocomplete", "one-time-code");
  await expect(field(page, "Password")).toHaveAttribute("autocomplete", "new-password");
  await field(page, "Code").fill(await mailedCode(user.email, 1));
  await field(page, "Password").fill(OTHER_PASSWORD);
  await expectAccessible(page);
  // The password is set, and the login after it gets lost: the code is used up, and is not sent again.
  await page.route("**/api/auth/login", (route) => route.abort());
  await main(page).getByRole("button", { name: "Set password" }).click();
  await expect(main(page).getByRole("alert")).toContainText("The service cannot be reached.");
  await page.unroute("**/api/auth/login");
  await main(page).getByRole("button", { name: "Set password" }).click();
  await expect(myImages(page)).toBeVisible();
  await call("/api/auth/login", { body: { email: user.email, password: OTHER_PASSWORD } });
});

test("Account changes the name and the password, and ends all sessions @wide", async ({ page, browser }) => {
  test.slow();
  const user = await TestUser.create({ plan: "Premium" });
  await openAs(page, user, "/account");
  await expect(page).toHaveTitle(/^Account/);
  await expect(main(page)).toContainText("200, 400 pixels high");
  await expectAccessible(page);

  await field(page, "Name").fill("");
  await field(page, "Name").press("Enter");
  await expect(field(page, "Name")).toHaveAttribute("aria-invalid", "true");
  await field(page, "Name").fill("Ada Lovelace");
  await field(page, "Name").press("Enter");
  await expect(main(page)).toContainText("Saved.");
  expect(await user.call("/api/me")).toMatchObject({ name: "Ada Lovelace" });

  await main(page).getByRole("button", { name: "Send code" }).click();
  await field(page, "Code").fill(await mailedCode(user.email, 1));
  await field(page, "New password").fill(OTHER_PASSWORD);
  await field(page, "New password").press("Enter");
  await expect(page.getByText("Your password is changed.")).toBeVisible();
  await expect(main(page).getByRole("button", { name: "Send code" })).toBeVisible();

  const elsewhere = await browser.newContext();
  const other = await elsewhere.newPage();
  await other.goto("/login");
  await field(other, "Email").fill(user.email);
  await field(other, "Password").fill(OTHER_PASSWORD);
  await field(other, "Password").press("Enter");
  await expect(myImages(other)).toBeVisible();
  await main(page).getByRole("button", { name: "Log out everywhere" }).click();
  await expect(page).toHaveURL(/\/$/);
  await expect(page.getByText("You are logged out on all devices.")).toBeVisible();
  await other.reload();
  await expect(main(other).getByRole("link", { name: "Log in" })).toBeVisible();
  await elsewhere.close();
});

test("the records of an account are saved as a file, on a plan without originals too @wide", async ({ page }) => {
  const user = await TestUser.create({ plan: "Basic" });
  await user.upload("picture-1.jpg", { title: "Harbour" });
  await openAs(page, user, "/account");
  const saved = page.waitForEvent("download");
  await main(page).getByRole("button", { name: "Save my records" }).click();
  const download = await saved;
  expect(download.suggestedFilename()).toBe("tintype-records.jsonl");
  const lines = (await readFile(await download.path(), "utf8")).trimEnd().split("\n");
  const records = lines.map((line) => JSON.parse(line) as Record<string, Record<string, unknown>>);
  expect(records.map((record) => Object.keys(record)[0])).toEqual(["account", "image"]);
  expect(records[0]?.account).toEqual(await user.call("/api/me"));
  expect(records[1]?.image).toMatchObject({ title: "Harbour", status: "ready", image_url: null });
});

test("an account is deleted, and its progress needs no login @narrow", async ({ page, browser }) => {
  const user = await TestUser.create({ plan: "Premium" });
  await user.upload("picture-1.jpg");
  await openAs(page, user, "/account");
  await main(page).getByRole("button", { name: "Delete account" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete your account?" });
  await expect(dialog).toContainText("Nobody can undo this.");
  await expectAccessible(page);
  await dialog.getByLabel("Password", { exact: true }).fill("Wrong-Harbour-42");
  await dialog.getByRole("button", { name: "Delete account" }).click();
  await expect(dialog.getByRole("alert").first()).toHaveText("The password is wrong.");
  await dialog.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await dialog.getByLabel("Password", { exact: true }).press("Enter");
  await expect(page).toHaveURL(/\/jobs\//);
  await expect(page.getByRole("progressbar")).toBeVisible();
  await expect(main(page)).toContainText("1 image so far");
  await expectAccessible(page);
  await expect(page.getByRole("navigation").getByText("Log out")).toHaveCount(0);

  const elsewhere = await browser.newContext();
  const other = await elsewhere.newPage();
  await other.goto(page.url());
  await expect(main(other)).toContainText(/1 image/);
  await elsewhere.close();
  await expect(call("/api/auth/login", { body: { email: user.email, password: PASSWORD } })).rejects.toThrow("401");
});

import { randomUUID } from "node:crypto";
import type { Locator, Page } from "@playwright/test";
import { call, expect, mailedCode, PASSWORD, test, tiles, TestUser } from "./fixtures";
import { photo } from "./photos";
import { heading, panel } from "./uploads";

const main = (page: Page) => page.getByRole("main");
const field = (within: Page | Locator, name: string) => within.getByLabel(name, { exact: true });

/** Moves the focus by Tab until an element has it, and checks that one can see it there. */
async function tabTo(page: Page, target: Locator): Promise<void> {
  await expect(target).toBeVisible();
  for (let step = 0; step < 100; step++) {
    if (await target.evaluate((element) => element === document.activeElement)) {
      await expect(target).toBeInViewport();
      const outline = await target.evaluate((element) => getComputedStyle(element).outlineStyle);
      expect(outline).not.toBe("none");
      return;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not lead to ${target.toString()}.`);
}

async function activate(page: Page, target: Locator): Promise<void> {
  await tabTo(page, target);
  await page.keyboard.press("Enter");
}

async function enter(page: Page, target: Locator, text: string): Promise<void> {
  await tabTo(page, target);
  await page.keyboard.press("Control+a");
  await page.keyboard.type(text);
}

async function go(page: Page, name: string): Promise<void> {
  const menu = page.getByRole("button", { name: "Menu" });
  if (await menu.isVisible()) await activate(page, menu);
  await activate(page, page.getByRole("navigation").getByRole("link", { name, exact: true }));
}

test("14: the whole journey needs the keyboard alone, and the focus is visible @narrow", async ({ page, context }) => {
  test.slow();
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  // An error in the console fails the test.
  await page.addInitScript(() => {
    for (const type of ["pointerdown", "mousedown", "touchstart"]) {
      addEventListener(type, () => console.error(`There was a ${type}.`), true);
    }
  });
  const email = `kay-${randomUUID()}@example.com`;
  await page.goto("/");
  await go(page, "Sign up");
  await enter(page, field(page, "Name"), "Kay Board");
  await enter(page, field(page, "Email"), email);
  await enter(page, field(page, "Password"), PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/confirm$/);
  await enter(page, field(page, "Code"), await mailedCode(email));
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "My images", level: 1 })).toBeVisible();

  // Links need another plan.
  const { access_token: token } = await call<{ access_token: string }>("/api/auth/login", {
    body: { email, password: PASSWORD },
  });
  const { id } = await call<{ id: string }>("/api/me", { token });
  await TestUser.assign(id, "Enterprise");
  await page.reload();

  const chooser = page.waitForEvent("filechooser");
  await activate(page, page.getByRole("button", { name: "Upload", exact: true }));
  await (await chooser).setFiles([await photo("harbour.jpg"), await photo("bridge.jpg")]);
  await expect(heading(page)).toHaveText("Upload complete", { timeout: 30_000 });
  await activate(page, panel(page).getByRole("button", { name: "Close" }));
  await expect(tiles(page)).toHaveCount(2);

  // In the large view: rename, make private and public, create a link.
  const first = tiles(page).first();
  await activate(page, first);
  const view = page.getByRole("dialog").filter({ has: page.getByRole("button", { name: "Make private" }) });
  await activate(page, view.getByRole("button", { name: "Edit" }));
  const edit = page.getByRole("form", { name: "Edit image" });
  await enter(page, field(edit, "Title"), "Harbour at dawn");
  await page.keyboard.press("Enter");
  await expect(edit).toHaveCount(0);
  const large = page.getByRole("dialog", { name: "Harbour at dawn" });
  await activate(page, large.getByRole("button", { name: "Make private" }));
  await expect(page.getByText("Made private: 1")).toBeVisible();
  await expect(large.getByRole("button", { name: "Make public" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByText("Made public: 1")).toBeVisible();
  await activate(page, large.getByRole("button", { name: "Create link" }));
  const dialog = page.getByRole("dialog", { name: "Create link" });
  await activate(page, dialog.getByRole("button", { name: "Create link" }));
  const created = page.getByRole("dialog", { name: "The link is ready" });
  await activate(page, created.getByRole("button", { name: "Copy link" }));
  await expect(created.getByText("Link copied")).toBeVisible();
  const { results } = await call<{ results: { link_url: string }[] }>("/api/expiring-links", { token });
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(results[0]?.link_url);
  await page.keyboard.press("Escape");
  await expect(created).toHaveCount(0);
  await expect(large.getByRole("button", { name: "Create link" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);

  // The focus is on the tile again.
  const tile = page.locator('[data-id][aria-label="Harbour at dawn"]');
  await expect(tile).toBeFocused();
  await page.keyboard.press("Space");
  await expect(page.getByText("1 selected", { exact: true })).toBeVisible();
  await activate(page, page.getByRole("toolbar").getByRole("button", { name: "Delete" }));
  await expect(page.getByText("1 image deleted.")).toBeVisible();
  await expect(tile).toHaveCount(0);
  await activate(page, page.getByRole("button", { name: "Undo" }));
  await expect(tile).toBeVisible();
  await expect(tile).toBeFocused();

  await go(page, "Account");
  await activate(page, main(page).getByRole("button", { name: "Delete account" }));
  const last = page.getByRole("dialog", { name: "Delete your account?" });
  await enter(page, field(last, "Password"), PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/jobs\//);
  await expect(main(page)).toContainText("images so far");
});

test("14: a page that loads late leaves the focus, and an open menu, to the user @narrow", async ({ page }) => {
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1, name: "Explore" })).toBeVisible();
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/assets/Signup-*.js", async (route) => {
    await released;
    await route.continue();
  });
  const menu = page.getByRole("button", { name: "Menu" });
  const links = page.getByRole("navigation");
  await menu.click();
  await links.getByRole("link", { name: "Sign up" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Sign up" })).toBeVisible();
  await menu.click();
  await expect(links.getByRole("link", { name: "Explore" })).toBeVisible();
  release();
  await expect(field(main(page), "Name")).toBeVisible();
  await expect(menu).toBeFocused();
  await links.getByRole("link", { name: "Explore" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Explore" })).toBeFocused();
});

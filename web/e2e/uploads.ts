import type { Page } from "@playwright/test";
import type { Photo } from "./photos";

export const panel = (page: Page) => page.getByRole("region", { name: "Uploads" });
export const heading = (page: Page) => panel(page).getByRole("heading");
export const row = (page: Page, title: string) => panel(page).getByRole("listitem").filter({ hasText: title });

export async function choose(page: Page, files: Photo[] | string[]): Promise<void> {
  await page.getByLabel("Choose files").setInputFiles(files);
}

/** Holds back what is sent to the bucket until it is released. */
export async function holdPuts(page: Page): Promise<() => void> {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/*", async (route) => {
    if (route.request().method() !== "PUT") return route.fallback();
    await released;
    await route.continue().catch(() => undefined);
  });
  return release;
}

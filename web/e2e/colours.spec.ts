import type { Page } from "@playwright/test";
import { expect, test } from "./fixtures";

/** Collects the frames that the browser draws from now on, as PNG. */
async function recordFrames(page: Page): Promise<string[]> {
  const devtools = await page.context().newCDPSession(page);
  const frames: string[] = [];
  devtools.on("Page.screencastFrame", ({ data, sessionId }) => {
    frames.push(data);
    // The page may be closed already.
    devtools.send("Page.screencastFrameAck", { sessionId }).catch(() => undefined);
  });
  await devtools.send("Page.startScreencast", { format: "png", maxWidth: 320, maxHeight: 200 });
  return frames;
}

/** The mean brightness of each picture, from 0 to 255. */
function brightness(page: Page, pictures: string[]): Promise<number[]> {
  return page.evaluate(async (pictures) => {
    const means: number[] = [];
    for (const picture of pictures) {
      const bytes = Uint8Array.from(atob(picture), (character) => character.charCodeAt(0));
      const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const canvas = new OffscreenCanvas(1, 1);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      if (!context) throw new Error("There is no canvas.");
      context.imageSmoothingQuality = "high";
      context.drawImage(image, 0, 0, 1, 1);
      const [red = 0, green = 0, blue = 0] = context.getImageData(0, 0, 1, 1).data;
      means.push((red + green + blue) / 3);
    }
    return means;
  }, pictures);
}

for (const path of ["/", "/login", "/api/docs"]) {
  test(`in the dark scheme no frame of ${path} is white, before and after its script runs @wide`, async ({
    page,
    context,
  }) => {
    const observer = await context.newPage();
    await observer.goto("/robots.txt");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto("/no/such/page");
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    const frames = await recordFrames(page);
    await expect.poll(() => frames.length).toBeGreaterThan(0);
    const before = frames.length;
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    await page.route("**/assets/*.js", async (route) => {
      await released;
      await route.continue();
    });
    await page.goto(path, { waitUntil: "commit" });
    await expect.poll(() => frames.length).toBeGreaterThan(before);
    const withoutScript = frames.length;
    release();
    await expect(page.getByRole("heading").first()).toBeVisible();
    await expect.poll(() => frames.length).toBeGreaterThan(withoutScript);
    // The first ones are of the page before.
    const drawn = await brightness(observer, frames.slice(before));
    expect(
      Math.max(...drawn),
      `brightness ${drawn.join(", ")}; ${withoutScript - before} without a script`,
    ).toBeLessThan(128);
  });
}

// Makes the screenshots of README.md anew, with the demo pictures of `make run`: `make screenshots`, beside it.

import { writeFile } from "node:fs/promises";
import { chromium } from "@playwright/test";

const URL_OF_STACK = process.env.TINTYPE_URL ?? "http://127.0.0.2:8080";
const FOLDER = new URL("../docs/images/", import.meta.url);
const PASSWORD = "tintype-demo";
const WIDTH = 1280;
const HEIGHT = 720;
/** Of WebP, from 0 to 1: both files together stay below 150 kB. */
const QUALITY = 0.8;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium" });
const context = await browser.newContext({ viewport: { width: WIDTH, height: HEIGHT }, locale: "en-GB" });
const page = await context.newPage();
const converter = await browser.newPage();

/** Saves what the page shows, once its pictures are there. */
async function save(name) {
  await page.waitForFunction(() => {
    const pictures = [...document.querySelectorAll("[data-id] img")];
    return pictures.length > 0 && pictures.every((picture) => picture.complete && picture.naturalWidth > 0);
  });
  const png = (await page.screenshot()).toString("base64");
  const webp = await converter.evaluate(
    async ([png, quality]) => {
      const picture = new Image();
      picture.src = `data:image/png;base64,${png}`;
      await picture.decode();
      const canvas = document.createElement("canvas");
      canvas.width = picture.width;
      canvas.height = picture.height;
      canvas.getContext("2d").drawImage(picture, 0, 0);
      return canvas.toDataURL("image/webp", quality).split(",")[1];
    },
    [png, QUALITY],
  );
  const bytes = Buffer.from(webp, "base64");
  await writeFile(new URL(`${name}.webp`, FOLDER), bytes);
  console.log(`docs/images/${name}.webp: ${bytes.length} bytes`);
}

await page.goto(URL_OF_STACK);
await save("explore");
await page.goto(`${URL_OF_STACK}/login`);
await page.getByLabel("Email", { exact: true }).fill("enterprise@example.com");
await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
await page.getByRole("main").getByRole("button", { name: "Log in" }).click();
await page.getByRole("heading", { name: "My images", level: 1 }).waitFor();
await save("my-images");
await browser.close();

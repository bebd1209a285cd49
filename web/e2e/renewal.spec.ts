import { expect, navigate, openAs, test, tiles, TestUser } from "./fixtures";

const DAY = 24 * 3_600_000;

test("private images have new URLs before the old ones expire, also on a page that was open for a day @wide", async ({
  page,
}) => {
  const user = await TestUser.create();
  await user.upload("picture-2.jpg", { title: "Diary", visibility: "private" });
  // The service's clock goes on with the page's. URLs that are signed within some minutes are the same: those of each
  // answer are told apart by a fragment.
  let passed = 0;
  let answers = 0;
  await page.route("**/api/**", async (route) => {
    const response = await route.fetch();
    const headers = { ...response.headers(), date: new Date(Date.now() + passed).toUTCString() };
    if (new URL(route.request().url()).pathname !== "/api/images") return route.fulfill({ response, headers });
    const list = (await response.json()) as { results: { url_expires_at: string; thumbnails: { url: string }[] }[] };
    answers += 1;
    for (const image of list.results) {
      image.url_expires_at = new Date(Date.parse(image.url_expires_at) + passed).toISOString();
      for (const thumbnail of image.thumbnails) thumbnail.url += `#${answers}`;
    }
    await route.fulfill({ response, headers, json: list });
  });
  const wait = async () => {
    passed += DAY;
    await page.clock.fastForward(DAY);
  };
  await page.clock.install();
  await openAs(page, user);
  const shows = async (selector: string, newerThan: number) => {
    const picture = page.locator(selector);
    await expect
      .poll(async () => Number((await picture.getAttribute("src"))?.split("#")[1]))
      .toBeGreaterThan(newerThan);
    await expect.poll(() => picture.evaluate((img: HTMLImageElement) => img.naturalWidth)).toBeGreaterThan(0);
  };
  await shows("[data-id] img", 0);

  const first = answers;
  await wait();
  await navigate(page, "Account");
  await navigate(page, "My images");
  await shows("[data-id] img", first);

  await tiles(page).first().click();
  await shows(".pswp__img:not(.pswp__img--placeholder)", first);
  const second = answers;
  await wait();
  await shows(".pswp__img:not(.pswp__img--placeholder)", second);

  // Where this machine's clock is wrong, nothing is asked for again and again.
  passed = 0;
  await page.clock.fastForward(DAY);
  await shows(".pswp__img:not(.pswp__img--placeholder)", answers);
  const third = answers;
  for (let check = 0; check < 3; check++) await page.clock.fastForward("00:30");
  expect(answers).toBe(third);
});

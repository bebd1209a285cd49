import {
  expect,
  expectAccessible,
  logIn,
  navigate,
  openAs,
  PASSWORD,
  subjectOf,
  test,
  tiles,
  TestUser,
} from "./fixtures";
import { folderOf, photo, photos } from "./photos";
import { longestTask, traced } from "./trace";
import { choose, drop, heading, held, holdPuts, panel, recordPanel, row, watchPuts } from "./uploads";

let user: TestUser;
test.beforeEach(async ({ page }) => {
  user = await TestUser.create();
  await openAs(page, user);
  await expect(page.getByRole("button", { name: "Upload", exact: true })).toBeVisible();
});

test("1: 20,000 files are not read before their turn, and the page never stands still @wide", async ({ page }) => {
  // No file's turn comes before the plan's limits are known.
  await page.route("**/api/plans", () => undefined);
  await page.evaluate(() => {
    const files = new DataTransfer();
    for (let number = 0; number < 20_000; number++) files.items.add(new File(["x"], `${number}.jpg`));
    Object.assign(window, { read: 0, files });
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (...message: unknown[]) {
      (window as unknown as { read: number }).read += 1;
      post.apply(this, message as Parameters<typeof post>);
    };
  });
  // Once is enough: another program may hold the page up.
  await expect(async () => {
    await page.getByLabel("Choose files").evaluate((input: HTMLInputElement) => {
      input.files = (window as unknown as { files: DataTransfer }).files.files;
    });
    const events = await traced(page, async () => {
      await page.getByLabel("Choose files").dispatchEvent("change");
      await expect(heading(page)).toHaveText("Uploading: 0 of 20,000 files finished");
      await panel(page)
        .getByRole("group", { name: "Files" })
        .evaluate((list) => list.scrollTo(0, 500_000));
      await expect(row(page, "7353.jpg")).toBeVisible();
    });
    expect(await panel(page).getByRole("listitem").count()).toBeLessThanOrEqual(60);
    expect(await page.evaluate(() => (window as unknown as { read: number }).read)).toBe(0);
    await panel(page).getByRole("button", { name: "Cancel all" }).click();
    await expect(heading(page)).toHaveText("Upload cancelled");
    await panel(page).getByRole("button", { name: "Close" }).click();
    expect(longestTask(events)).toBeLessThanOrEqual(200);
  }).toPass({ intervals: [0] });
});

test("2: a dropped folder of 250 files comes whole @wide", async ({ page }) => {
  const { buffer } = await photo("same");
  const files: Record<string, Buffer> = { ".DS_Store": Buffer.from("x"), "Thumbs.db": Buffer.from("x") };
  for (let number = 0; number < 250; number++) files[`${number % 3 ? `day-${number % 7}/` : ""}${number}.jpg`] = buffer;
  await drop(page, await folderOf(files));
  // One photograph in 250 files is uploaded once.
  await expect(panel(page)).toContainText("1 done · 249 already there · 2 other files skipped", { timeout: 30_000 });
  const { results } = await user.call<{ results: { title: string }[] }>("/api/images");
  expect(results.length).toBe(1);
  expect(results[0]?.title).toMatch(/^(day-\d\/)?\d+\.jpg$/);
});

test("2: what is dropped before the session and the code of uploads are there is taken @narrow", async ({ page }) => {
  const folder = await folderOf({ "early.jpg": (await photo("early")).buffer });
  const [session, code] = [await held(page, "**/api/auth/refresh"), await held(page, "**/assets/upload*.js")];
  await page.reload();
  await drop(page, folder);
  await session.isAsked;
  session.release();
  await code.isAsked;
  await drop(page, await folderOf({ "second.jpg": (await photo("second")).buffer }));
  code.release();
  await expect(panel(page)).toContainText("2 done");
});

test("2: what is dropped while the service cannot be reached is uploaded when it can @narrow", async ({ page }) => {
  await page.route("**/api/auth/refresh", (route) => route.abort());
  await page.reload();
  await drop(page, await folderOf({ "early.jpg": (await photo("early")).buffer }));
  const notice = page.getByText("The files that you dropped wait for it.");
  await expect(notice).toBeVisible();
  await page.unroute("**/api/auth/refresh");
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await expect(panel(page)).toContainText("1 done");
  await expect(notice).toHaveCount(0);
});

test("2: who drops files without a session is asked to log in, and then they are uploaded @narrow", async ({
  page,
}) => {
  const session = await held(page, "**/api/auth/refresh");
  await page.context().clearCookies();
  await page.reload();
  await drop(page, await folderOf({ "discarded.jpg": (await photo("discarded")).buffer }));
  session.release();
  const notice = page.getByText("Log in, and the files that you dropped are uploaded.");
  await expect(page).toHaveURL(/\/login$/);
  await page.getByRole("button", { name: "Discard files" }).click();
  await expect(notice).toHaveCount(0);
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1, name: "Explore" })).toBeVisible();
  await drop(page, await folderOf({ "kept.jpg": (await photo("kept")).buffer }));
  await expect(page).toHaveURL(/\/login$/);
  await expect(notice).toBeVisible();
  await page.getByLabel("Email", { exact: true }).fill(user.email);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("main").getByRole("button", { name: "Log in" }).click();
  await expect(panel(page)).toContainText("1 done");
  await expect(row(page, "kept.jpg")).toBeVisible();
});

test("2: what is dragged within the page is no upload @narrow", async ({ page }) => {
  const isTaken = await page.evaluate(() => {
    // As Chromium does when somebody drags a picture of the page.
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["x"], "a.jpg"));
    document.querySelector("h1")?.dispatchEvent(new DragEvent("dragstart", { dataTransfer, bubbles: true }));
    const over = dispatchEvent(new DragEvent("dragover", { dataTransfer, cancelable: true }));
    const dropped = dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
    return !over || !dropped;
  });
  expect(isTaken).toBe(false);
  // Its end is not told, as of a picture that was taken off the page meanwhile.
  await page.mouse.move(50, 50);
  await drop(page, await folderOf({ "own.jpg": (await photo("own")).buffer }));
  await expect(panel(page)).toContainText("1 done");
});

test("2: a file whose image is being deleted is uploaded again @wide", async ({ page }) => {
  await choose(page, [await photo("again")]);
  await expect(panel(page)).toContainText("1 done");
  await page.getByRole("button", { name: "Select", exact: true }).click();
  await tiles(page).first().click();
  await page.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("1 image deleted.")).toBeVisible();
  // Within the time of Undo.
  await choose(page, [await photo("again")]);
  await expect(panel(page)).toContainText("2 done");
  await expect(page.getByRole("button", { name: "Undo" })).toHaveCount(0);
  const { results } = await user.call<{ results: { status: string }[] }>("/api/images");
  expect(results.map(({ status }) => status)).toEqual(["ready"]);
});

test("2: a drop that cannot be read is an error that the user sees @narrow", async ({ page }) => {
  await page.evaluate(() => {
    DataTransferItem.prototype.webkitGetAsEntry = () => {
      const entry = {
        fullPath: "/trip",
        get isDirectory(): boolean {
          throw new Error("The disk is gone.");
        },
      };
      return entry as unknown as FileSystemEntry;
    };
  });
  const isTaken = await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["x"], "a.jpg"));
    return !dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
  });
  expect(isTaken).toBe(true);
  await expect(page.getByRole("alert")).toContainText("Something went wrong.");
  await expect(panel(page)).toHaveCount(0);
});

test("2: files that cannot be read are named, also those of one path @narrow", async ({ page }) => {
  await page.evaluate(() => {
    DataTransferItem.prototype.webkitGetAsEntry = () => {
      const file = (_: unknown, fail: (error: Error) => void) => fail(new DOMException("gone", "NotFoundError"));
      const entry = { fullPath: "/trip.jpg", name: "trip.jpg", isFile: true, isDirectory: false, file };
      return entry as unknown as FileSystemEntry;
    };
    for (let time = 0; time < 2; time++) {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(["x"], "trip.jpg"));
      dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
    }
  });
  await expect(panel(page).getByText("trip.jpg cannot be read.")).toHaveCount(2);
  await panel(page).getByRole("button", { name: "Close" }).click();
  await expect(panel(page)).toHaveCount(0);
});

test("3: an upload URL that expires before its turn is renewed @narrow", async ({ page }) => {
  await page.route("**/api/images/batch", async (route) => {
    const response = await route.fetch();
    const answer = (await response.json()) as { results: { upload: { expires_at: string } }[] };
    for (const { upload } of answer.results) upload.expires_at = new Date(Date.now() - 1000).toISOString();
    await route.fulfill({ response, json: answer });
  });
  const renewed: string[] = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/upload")) renewed.push(request.url());
  });
  await choose(page, await photos(3));
  await expect(heading(page)).toHaveText("Upload complete");
  expect(new Set(renewed).size).toBe(3);
});

test("3: a URL that the bucket refuses as expired is renewed @wide", async ({ page }) => {
  let refused = 0;
  await page.route("**/*", (route) => {
    if (route.request().method() !== "PUT" || refused++ > 0) return route.fallback();
    const headers = { "access-control-allow-origin": "*" };
    return route.fulfill({ status: 403, headers, body: "<Error><Code>AccessDenied</Code></Error>" });
  });
  await choose(page, await photos(1));
  await expect(heading(page)).toHaveText("Upload complete");
  expect(refused).toBe(2);
});

test("4: closing the page warns while files are uploaded; after a reload what is finished is passed over @wide", async ({
  page,
}) => {
  const release = await holdPuts(page);
  const files = await photos(3);
  const folder = await folderOf(Object.fromEntries(files.map(({ name, buffer }) => [name, buffer])));
  const paths = files.map(({ name }) => `${folder}/${name}`);
  await page.getByRole("heading", { name: "My images" }).click();
  await choose(page, paths);
  await expect(row(page, "photo-0.jpg")).toContainText("Uploading");
  const warned = page.waitForEvent("dialog");
  await page.close({ runBeforeUnload: true });
  const dialog = await warned;
  expect(dialog.type()).toBe("beforeunload");
  await dialog.dismiss();
  release();
  await expect(heading(page)).toHaveText("Upload complete");

  // Now nothing warns.
  await page.reload();
  const puts = await watchPuts(page);
  await choose(page, [...paths, `${await folderOf({ "renamed.jpg": files[0]?.buffer ?? Buffer.of() })}/renamed.jpg`]);
  await expect(heading(page)).toHaveText("Nothing to upload: all images are already there");
  await expect(panel(page)).toContainText("4 already there");
  expect((await puts()).started).toBe(0);
});

test("5: the counts add up, and nothing says complete while something failed", async ({ page }) => {
  const shown = await recordPanel(page);
  const broken = {
    ...(await photo("broken.jpg")),
    buffer: Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), Buffer.alloc(99)]),
  };
  const good = await photo("good.jpg");
  await choose(page, [broken, good, { ...good, name: "copy.jpg" }, { ...good, name: ".hidden.jpg" }]);
  await expect(heading(page)).toHaveText("Upload finished, 1 failed");
  await expect(panel(page)).toContainText("1 done · 1 failed · 1 already there · 1 other files skipped");
  await expect(panel(page).getByRole("alert")).toHaveText("Some files could not be uploaded.");
  await expect(row(page, "broken.jpg")).toContainText("The file ends before the image does.");
  expect((await shown()).filter((text) => /complete/i.test(text))).toEqual([]);
  await expectAccessible(page);
  await page.getByRole("button", { name: "Retry failed" }).click();
  await expect(heading(page)).toHaveText("Upload finished, 1 failed");
});

test("5: the progress of one slow upload moves in steps @narrow", async ({ page }) => {
  const devtools = await page.context().newCDPSession(page);
  const [file] = await photos(1, 1_500_000);
  await devtools.send("Network.enable");
  const speed = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 600_000 };
  await devtools.send("Network.emulateNetworkConditions", speed);
  await page.evaluate(() => {
    const steps = new Set<number>();
    Object.assign(window, { steps });
    setInterval(() => {
      const bar = document.querySelector<HTMLProgressElement>("section[aria-label=Uploads] li progress");
      if (bar && bar.value > 0 && bar.value < bar.max) steps.add(bar.value);
    }, 20);
  });
  if (file) await choose(page, [file]);
  await expect(heading(page)).toHaveText("Upload complete");
  const steps = await page.evaluate(() => [...(window as unknown as { steps: Set<number> }).steps]);
  expect(steps.length).toBeGreaterThanOrEqual(3);
});

test("6: content that is there is shown with a link; a taken title offers another one @narrow", async ({ page }) => {
  const first = await photo("harbour.jpg");
  await choose(page, [first]);
  await expect(heading(page)).toHaveText("Upload complete");
  const { results } = await user.call<{ results: { id: string }[] }>("/api/images");
  await panel(page).getByRole("button", { name: "Close" }).click();

  await choose(page, [{ ...first, name: "copy.jpg" }, await photo("harbour.jpg")]);
  await expect(heading(page)).toHaveText("Upload finished, 1 failed");
  await expect(row(page, "copy.jpg")).toContainText("Already there");
  await expect(row(page, "copy.jpg").getByRole("link")).toHaveAttribute("href", `/i/${results[0]?.id}`);
  await expect(row(page, "harbour.jpg")).toContainText("You have another image with this title.");
  await row(page, "harbour.jpg").getByRole("button", { name: "Rename" }).click();
  const dialog = page.getByRole("dialog", { name: "Choose another title" });
  await expect(dialog.getByLabel("Title")).toHaveValue("harbour (2).jpg");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Upload" }).click();
  await expect(row(page, "harbour (2).jpg")).toContainText("Ready");
});

test("7: logging out ends the queue, and no request carries another user's token @narrow", async ({ page }) => {
  const second = await TestUser.create();
  const release = await holdPuts(page);
  await choose(page, await photos(30));
  await expect(row(page, "photo-0.jpg")).toContainText("Uploading");
  if (!(await page.getByRole("button", { name: "Log out" }).isVisible())) {
    await page.getByRole("button", { name: "Menu" }).click();
  }
  // The logout itself is the first user's last request.
  const loggedOut = page.waitForResponse("**/api/auth/logout");
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(panel(page)).toHaveCount(0);
  await loggedOut;
  release();
  const subjects = new Set<string>();
  const registered = new Set<string>();
  const puts = await watchPuts(page);
  page.on("request", (request) => {
    const token = request.headers()["authorization"];
    if (token) subjects.add(subjectOf(token));
    if (request.url().endsWith("/api/images/batch")) registered.add(request.postData() ?? "");
  });
  await logIn(page, second);
  await choose(page, await photos(1));
  await expect(heading(page)).toHaveText("Upload complete");
  // The second user's file alone.
  expect([...subjects]).toEqual([subjectOf(second.token)]);
  expect(registered.size).toBe(1);
  expect((await puts()).started).toBeGreaterThanOrEqual(1);
  expect((await second.call<{ results: unknown[] }>("/api/images")).results.length).toBe(1);
  const { results } = await user.call<{ results: { status: string }[] }>("/api/images").catch(() => ({ results: [] }));
  expect(results.filter(({ status }) => status !== "pending")).toEqual([]);
});

test("7: another user who logs in in another tab ends the queue, and no tab shows or sends anything of the first @narrow", async ({
  page,
  context,
}) => {
  const second = await TestUser.create();
  await user.upload("picture-0.jpg", { title: "Diary", visibility: "private" });
  await page.reload();
  await expect(tiles(page)).toHaveCount(1);
  const [account, other] = [await context.newPage(), await context.newPage()];
  for (const tab of [account, other]) {
    await tab.goto("/account");
    await expect(tab.getByLabel("Email", { exact: true })).toHaveValue(user.email);
  }
  const release = await holdPuts(page);
  await choose(page, await photos(30));
  await expect(row(page, "photo-0.jpg")).toContainText("Uploading");

  // The third tab's session cannot be renewed, so it asks to log in, which another user does.
  await other.route(/\/api\/(auth\/refresh|images\?.*)$/, (route) =>
    route.fulfill({ status: 401, contentType: "application/json", body: '{"message":"Unauthorized"}' }),
  );
  await navigate(other, "My images");
  await other.getByRole("main").getByRole("link", { name: "Log in" }).click();
  await other.unroute(/\/api\/(auth\/refresh|images\?.*)$/);
  await other.getByLabel("Email", { exact: true }).fill(second.email);
  await other.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await other.getByRole("main").getByRole("button", { name: "Log in" }).click();

  for (const tab of [page, other]) await expect(tab.getByText("You have no images yet.")).toBeVisible();
  await expect(account.getByLabel("Email", { exact: true })).toHaveValue(second.email);
  for (const tab of [page, account, other]) {
    await expect(tab.getByText(user.email)).toHaveCount(0);
    await expect(tab.getByText("Diary")).toHaveCount(0);
    await expect(panel(tab)).toHaveCount(0);
  }
  const subjects = new Set<string>();
  context.on("request", (request) => {
    const token = request.headers()["authorization"];
    if (token) subjects.add(subjectOf(token));
  });
  release();
  await navigate(account, "My images");
  await expect(account.getByText("You have no images yet.")).toBeVisible();
  await choose(page, await photos(1));
  await expect(heading(page)).toHaveText("Upload complete");
  expect([...subjects]).toEqual([subjectOf(second.token)]);
  expect((await second.call<{ results: unknown[] }>("/api/images")).results.length).toBe(1);
  // What was held back never reached the bucket.
  const { results } = await user.call<{ results: { title: string; status: string }[] }>("/api/images");
  expect(results.filter(({ status }) => status !== "pending").map(({ title }) => title)).toEqual(["Diary"]);
});

test("8: an expired session is refreshed once; if it cannot be, the queue waits for the login @wide", async ({
  page,
}) => {
  let refreshed = 0;
  page.on("request", (request) => {
    if (request.url().endsWith("/api/auth/refresh")) refreshed += 1;
  });
  const refuse = { times: 1 };
  const unauthorized = { status: 401, contentType: "application/json", body: '{"message":"Unauthorized"}' };
  await page.route("**/api/images/batch", (route) =>
    refuse.times-- > 0 ? route.fulfill(unauthorized) : route.fallback(),
  );
  await choose(page, await photos(2));
  await expect(heading(page)).toHaveText("Upload complete");
  expect(refreshed).toBe(1);
  await panel(page).getByRole("button", { name: "Close" }).click();

  refuse.times = 1;
  await page.route("**/api/auth/refresh", (route) => route.fulfill(unauthorized), { times: 1 });
  await choose(page, [await photo("later.jpg")]);
  await expect(panel(page)).toContainText("Log in again to continue the upload.");
  await page.getByRole("main").getByRole("link", { name: "Log in" }).click();
  await page.getByLabel("Email", { exact: true }).fill(user.email);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("main").getByRole("button", { name: "Log in" }).click();
  await expect(heading(page)).toHaveText("Upload complete");
  expect((await user.call<{ results: unknown[] }>("/api/images")).results.length).toBe(3);
});

test("9: type, size and plan are told before hashing @narrow", async ({ page }) => {
  let hashed = 0;
  page.on("worker", () => (hashed += 1));
  await page.route("**/api/plans", async (route) => {
    const response = await route.fetch();
    const answer = (await response.json()) as { results: { max_image_bytes: number }[] };
    for (const plan of answer.results) plan.max_image_bytes = 1000;
    await route.fulfill({ response, json: answer });
  });
  const big = await photo("big.jpg");
  await choose(page, [
    { ...big, name: "IMG_0001.HEIC" },
    { ...big, name: "film.mov" },
    { ...big, name: "photo.NEF" },
    { ...big, name: "scan.psd" },
    { ...big, name: "empty.jpg", buffer: Buffer.of() },
    big,
  ]);
  await expect(heading(page)).toHaveText("Upload finished, 6 failed");
  await expect(row(page, "photo.NEF")).toContainText("Export them as JPEG");
  await expect(row(page, "film.mov")).toContainText("Videos are not supported");
  await expect(row(page, "empty.jpg")).toContainText("empty");
  await panel(page)
    .getByRole("group", { name: "Files" })
    .evaluate((list) => list.scrollTo(0, 10_000));
  await expect(row(page, "big.jpg")).toContainText("larger than the 1 kB that your plan allows");
  expect(hashed).toBe(0);
});

test("9: 429 and 503 wait as told, offline waits and goes on, and nothing is lost @wide", async ({
  page,
  problems,
}) => {
  problems.allow(/./);
  let refusals = 0;
  await page.route("**/api/images/batch", (route) => {
    if (refusals++ > 1) return route.fallback();
    const status = refusals === 1 ? 429 : 503;
    return route.fulfill({ status, headers: { "retry-after": "1" }, contentType: "application/json", body: "{}" });
  });
  const shown = await recordPanel(page);
  await choose(page, await photos(2));
  await expect(heading(page)).toHaveText("Upload complete");
  expect((await shown()).join()).toContain("The service is busy");
  const sent = await page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .filter(({ name }) => name.endsWith("/api/images/batch"))
      .map(({ startTime }) => startTime),
  );
  expect(sent.length).toBeGreaterThanOrEqual(3);
  for (const [index, time] of sent.slice(1, 3).entries()) expect(time - (sent[index] ?? 0)).toBeGreaterThanOrEqual(990);
  await panel(page).getByRole("button", { name: "Close" }).click();

  await page.context().setOffline(true);
  await choose(page, [await photo("a.jpg"), await photo("b.jpg"), await photo("c.jpg")]);
  await expect(panel(page)).toContainText("You are offline");
  await page.context().setOffline(false);
  await expect(heading(page)).toHaveText("Upload complete");
  await expect(panel(page)).toContainText("3 done");
});

test("10: four files are sent at a time, and hashed in a worker @narrow", async ({ page }) => {
  const puts = await watchPuts(page);
  const workers: string[] = [];
  page.on("worker", (worker) => workers.push(worker.url()));
  const release = await holdPuts(page);
  await choose(page, await photos(12));
  await expect.poll(async () => (await puts()).now).toBe(4);
  await expect(panel(page)).toContainText("12 to go");
  release();
  await expect(heading(page)).toHaveText("Upload complete");
  // Counted by their XMLHttpRequest.
  const { started, now, most } = await puts();
  expect(started).toBeGreaterThanOrEqual(12);
  expect([now, most]).toEqual([0, 4]);
  expect(workers.filter((url) => url.includes("hash.worker")).length).toBe(1);
  // The new images are in the list without a reload.
  await expect(page.getByRole("link", { name: "photo-11.jpg", exact: true })).toBeVisible();
});

test("1: a file that is uploaded can be cancelled, alone and with all others @narrow", async ({ page }) => {
  await holdPuts(page);
  await choose(page, await photos(6));
  await expect(row(page, "photo-0.jpg")).toContainText("Uploading");
  await row(page, "photo-0.jpg").getByRole("button", { name: "Cancel" }).click();
  await expect(row(page, "photo-0.jpg")).toContainText("Cancelled");
  await expect(panel(page)).toContainText("1 cancelled · 5 to go");
  await panel(page).getByRole("button", { name: "Cancel all" }).click();
  await expect(heading(page)).toHaveText("Upload cancelled");
  // Nothing is left behind that would keep the titles.
  await expect.poll(async () => (await user.call<{ results: unknown[] }>("/api/images")).results.length).toBe(0);
});

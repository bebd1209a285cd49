import type { CDPSession, Page } from "@playwright/test";
import { expect, openAs, test, tiles, TestUser } from "./fixtures";

interface Point {
  x: number;
  y: number;
}

/** What fingers do on the page's screen. */
class Fingers {
  private constructor(private readonly devtools: CDPSession) {}

  static async on(page: Page): Promise<Fingers> {
    return new Fingers(await page.context().newCDPSession(page));
  }

  async put(...points: Point[]): Promise<void> {
    await this.#send("touchStart", points);
  }

  /** Moves all fingers in steps, each by its own distance. */
  async move(points: Point[], by: Point[], steps = 10): Promise<void> {
    for (let step = 1; step <= steps; step++) {
      const share = step / steps;
      const now = points.map(({ x, y }, at) => ({ x: x + (by[at]?.x ?? 0) * share, y: y + (by[at]?.y ?? 0) * share }));
      await this.#send("touchMove", now);
    }
  }

  async lift(): Promise<void> {
    await this.#send("touchEnd", []);
  }

  async #send(type: "touchStart" | "touchMove" | "touchEnd", points: Point[]): Promise<void> {
    const touchPoints = points.map((point, id) => ({ ...point, id }));
    await this.devtools.send("Input.dispatchTouchEvent", { type, touchPoints });
  }
}

test("the large view is zoomed by pinching, and a swipe shows the next image @narrow", async ({ page, artist }) => {
  void artist;
  await page.goto("/");
  await tiles(page).first().tap();
  const view = page.getByRole("dialog");
  const name = (await view.getAttribute("aria-label")) ?? "";
  const picture = view.getByRole("img", { name, exact: true }).last();
  const width = async () => (await picture.boundingBox())?.width ?? 0;
  await expect(picture).toBeVisible();
  await expect(picture).toHaveJSProperty("complete", true);
  const before = await width();

  const fingers = await Fingers.on(page);
  const [left, right] = [
    { x: 160, y: 300 },
    { x: 200, y: 300 },
  ];
  await fingers.put(left, right);
  await fingers.move(
    [left, right],
    [
      { x: -60, y: 0 },
      { x: 60, y: 0 },
    ],
  );
  await fingers.lift();
  await expect.poll(width).toBeGreaterThan(before * 1.5);
  // Together again.
  await fingers.put({ x: 60, y: 300 }, { x: 300, y: 300 });
  await fingers.move(
    [
      { x: 60, y: 300 },
      { x: 300, y: 300 },
    ],
    [
      { x: 110, y: 0 },
      { x: -110, y: 0 },
    ],
  );
  await fingers.lift();
  await expect.poll(width).toBeCloseTo(before, 0);

  const next = (await tiles(page).nth(1).getAttribute("aria-label")) ?? "";
  await fingers.put({ x: 300, y: 300 });
  await fingers.move([{ x: 300, y: 300 }], [{ x: -250, y: 0 }]);
  await fingers.lift();
  await expect(page.getByRole("dialog", { name: next, exact: true })).toBeVisible();
});

test("a long press begins to select, a tap goes on, and a moved finger does neither @narrow", async ({ page }) => {
  const user = await TestUser.create();
  const images = ["a", "b"].map((title) => ({ title, content_type: "image/jpeg", size: 1000 }));
  await user.call("/api/images/batch", { body: { images } });
  await openAs(page, user);
  const fingers = await Fingers.on(page);
  const first = tiles(page).first();
  const box = await first.boundingBox();
  if (!box) throw new Error("There is no tile.");
  const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };

  // A finger that moves scrolls: it selects nothing, however long it stays.
  await page.clock.install();
  await page.clock.pauseAt(Date.now() + 60_000);
  await fingers.put(middle);
  await fingers.move([middle], [{ x: 0, y: -40 }]);
  await page.clock.runFor(2000);
  await fingers.lift();
  await expect(page.getByRole("toolbar")).toHaveCount(0);
  await expect(page.getByRole("dialog")).toHaveCount(0);

  await fingers.put(middle);
  await page.clock.runFor(400);
  await expect(page.getByRole("toolbar")).toHaveCount(0);
  await page.clock.runFor(200);
  await expect(page.getByText("1 selected", { exact: true })).toBeVisible();
  await fingers.lift();
  await page.clock.resume();
  await expect(first).toHaveAttribute("aria-pressed", "true");
  await tiles(page).nth(1).tap();
  await expect(page.getByText("2 selected", { exact: true })).toBeVisible();
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

import { expect, test } from "vitest";
import { noteServiceTime, serviceTime } from "./clock";

test("the service's time is told by its latest answer, however wrong this machine's clock is", () => {
  const now = Date.parse("2030-01-02T03:04:05Z");
  expect(serviceTime(now)).toBe(now);
  noteServiceTime("Tue, 01 Jan 2030 03:04:05 GMT", now);
  expect(serviceTime(now + 1000)).toBe(now - 24 * 3600_000 + 1000);
  noteServiceTime(null, now);
  noteServiceTime("no date", now);
  expect(serviceTime(now)).toBe(now - 24 * 3600_000);
});

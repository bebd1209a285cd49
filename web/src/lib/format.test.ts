import { expect, test } from "vitest";
import { formatBytes, formatCamera, formatCameraTime, formatDate, formatTime } from "./format";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1 kB"],
  [8_388_608, "8.39 MB"],
  [52_428_800, "52.4 MB"],
  [999_600, "1 MB"],
  [123_456_789, "123 MB"],
])("%d bytes are %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  ["America/Los_Angeles", "1 Jan 2030, 19:04:05 GMT-8", "1 Jan 2030, GMT-8"],
  ["Pacific/Tongatapu", "2 Jan 2030, 16:04:05 GMT+13", "2 Jan 2030, GMT+13"],
])("17: times and days in %s name their zone", (zone, time, day) => {
  expect(formatTime("2030-01-02T03:04:05Z", zone)).toBe(time);
  expect(formatDate("2030-01-02T03:04:05Z", zone)).toBe(day);
});

test.each([
  ["Canon", "Canon EOS R5", "Canon EOS R5"],
  ["NIKON CORPORATION", "NIKON Z 6", "NIKON Z 6"],
  ["SONY", "ILCE-7M3", "SONY ILCE-7M3"],
  ["Apple", null, "Apple"],
  [null, "iPhone 15", "iPhone 15"],
  [null, null, ""],
])("the camera %s, %s is named once", (make, model, name) => {
  expect(formatCamera({ make, model })).toBe(name);
});

test("a camera's time is shown as far as it is known", () => {
  expect(formatCameraTime("2026-07-09T18:23:45-03:30")).toBe(formatCameraTime("2026-07-09T18:23:45"));
  expect(formatCameraTime("2026-07-09T18:23:45")).toMatch(/2026.*18.23/);
  for (const part of ["1975", "1975-08", "1975-08-30"]) expect(formatCameraTime(part)).toBe(part);
});

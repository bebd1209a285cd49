import { expect, test } from "vitest";
import { nextPath, onTheWay } from "./next";

const next = (value: string) => nextPath(new URLSearchParams({ next: value }), "https://tintype.example");

test("the address after the login keeps query and fragment", () => {
  expect(next("/links?image=a%20b#top")).toBe("/links?image=a%20b#top");
});

test("no login leads to another host", () => {
  for (const foreign of [
    "//evil.example",
    "/\\evil.example",
    "https://evil.example/",
    "javascript:alert(1)",
    "links",
    "",
  ])
    expect(next(foreign)).toBeNull();
  expect(nextPath(new URLSearchParams(), "https://tintype.example")).toBeNull();
});

test("pages on the way to the login keep where to go afterwards", () => {
  expect(onTheWay("/signup", new URLSearchParams({ next: "/links?image=1" }))).toBe(
    "/signup?next=%2Flinks%3Fimage%3D1",
  );
  expect(onTheWay("/signup", new URLSearchParams())).toBe("/signup");
});

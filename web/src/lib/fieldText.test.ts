import { expect, test } from "vitest";
import { fieldText } from "./fieldText";

test("a field's message is a sentence", () => {
  expect(fieldText("Password", "must have at least 8 characters")).toBe("Password must have at least 8 characters.");
  expect(fieldText("Password", "Password must have numeric characters")).toBe("Password must have numeric characters.");
  expect(fieldText("Password", "Use 8 to 256 characters.")).toBe("Use 8 to 256 characters.");
});

import { expect, test } from "vitest";

import { judge, retryAfter } from "./put";

const error = (code: string): string => `<Error><Code>${code}</Code></Error>`;

test.each([
  [200, "", { is: "stored" }],
  [412, error("PreconditionFailed"), { is: "stored" }],
  [403, error("AccessDenied"), { is: "expired" }],
  [400, error("ExpiredToken"), { is: "expired" }],
  [400, error("BadDigest"), { is: "changed" }],
  [400, error("RequestTimeout"), { is: "retry", connection: false }],
  [503, error("SlowDown"), { is: "retry", connection: false }],
  [409, error("ConditionalRequestConflict"), { is: "retry", connection: false }],
  [400, error("EntityTooLarge"), { is: "refused", status: 400, code: "EntityTooLarge" }],
])("%i %s", (status, text, result) => expect(judge(status, text)).toEqual(result));

test("a wait that the bucket asks for is kept", () => {
  expect(judge(503, "", 7000)).toEqual({ is: "retry", connection: false, after: 7000 });
});

test.each([
  [null, undefined],
  ["7", 7000],
  ["soon", undefined],
  ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
])("Retry-After %s", (text, wait) => expect(retryAfter(text)).toBe(wait));

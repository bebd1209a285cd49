/** Titles as the service compares them: Unicode NFC, trimmed, 1 to 256 characters, no control characters. */

export const MAX_TITLE_CHARACTERS = 256;

export function normalTitle(text: string): string {
  return text.trim().normalize("NFC").trim();
}

/** Returns why a title is invalid, or null. */
export function titleProblem(text: string): "empty" | "too_long" | "control" | null {
  const title = normalTitle(text);
  if (title === "") return "empty";
  if ([...title].length > MAX_TITLE_CHARACTERS) return "too_long";
  return /\p{Cc}/u.test(title) ? "control" : null;
}

/** Another title for one that is taken: `a.jpg`, `a (2).jpg`, `a (3).jpg` … */
export function nextTitle(title: string): string {
  const [, stem = title, number, extension = ""] = /^(.*?)(?: \((\d+)\))?(\.[^./]{1,10})?$/su.exec(title) ?? [];
  const suffix = ` (${number ? Number(number) + 1 : 2})${extension}`;
  return [...stem].slice(0, MAX_TITLE_CHARACTERS - [...suffix].length).join("") + suffix;
}

/** Copies a text. False if the browser refuses: then the text must be shown to be copied by hand. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByCommand(text);
  }
}

/** The older way, for pages without https, which have no clipboard API. */
function copyByCommand(text: string): boolean {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  // Text outside of a modal dialog cannot be selected.
  (focused?.closest("dialog") ?? document.body).append(area);
  area.select();
  let isCopied = false;
  const check = () => (isCopied = true);
  document.addEventListener("copy", check, { once: true });
  const isDone = document.execCommand("copy");
  document.removeEventListener("copy", check);
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return isDone && isCopied;
}

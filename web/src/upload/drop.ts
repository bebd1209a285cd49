/** Takes what a person drops. Part of what a page loads first, so it is small. */

/** The entries of a drop, taken while the event is handled: the browser empties the event afterwards. */
export type Drop = (FileSystemEntry | File)[];

/** Takes what a drop holds. Must be called while the event is handled. */
export function takeDrop(data: DataTransfer): Drop {
  const taken: Drop = [];
  for (const item of data.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry() ?? item.getAsFile();
    if (entry) taken.push(entry);
  }
  return taken;
}

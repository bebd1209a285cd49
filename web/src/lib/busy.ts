const reasons = new Set<symbol>();

/** Marks work that a reload or a closed tab would lose, such as an upload. Returns the function that ends the mark. */
export function holdPage(): () => void {
  const reason = Symbol();
  if (reasons.size === 0) window.addEventListener("beforeunload", warn);
  reasons.add(reason);
  return () => {
    reasons.delete(reason);
    if (reasons.size === 0) window.removeEventListener("beforeunload", warn);
  };
}

export function isHeld(): boolean {
  return reasons.size > 0;
}

function warn(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

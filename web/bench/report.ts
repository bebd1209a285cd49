/** Prints a figure as a row of a table in Markdown. */
export function report(what: string, figure: string, goal = ""): void {
  console.log(`| ${what} | ${figure} | ${goal} |`);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** A key that nobody else has. `crypto.randomUUID` is there only where the page came over HTTPS or from this machine. */
export function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

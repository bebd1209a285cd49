/**
 * The user who is about to log in: carries the address, and the password that was just typed, from one form to the next. The
 * password stays in memory alone; the address survives a reload, as when a phone drops the page while the mail is read.
 */
const STORED = "tintype.email";

let password: string | null = null;

export const pending = {
  get email(): string {
    return sessionStorage.getItem(STORED) ?? "";
  },
  get password(): string | null {
    return password;
  },
  set(email: string, typed: string | null = null): void {
    sessionStorage.setItem(STORED, email);
    password = typed;
  },
  clear(): void {
    sessionStorage.removeItem(STORED);
    password = null;
  },
};

import { createSubscriber } from "svelte/reactivity";

const subscribe = createSubscriber((update) => {
  const timer = setInterval(update, 1000);
  return () => clearInterval(timer);
});

/** The time in milliseconds. What shows it is shown again each second. */
export function now(): number {
  subscribe();
  return Date.now();
}

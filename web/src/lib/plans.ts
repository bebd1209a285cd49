import { anonymousApi, ask, type Plan } from "./http";
import { session } from "./session.svelte";

export async function readPlans(): Promise<Plan[]> {
  return (await ask(anonymousApi.GET("/api/plans", { cache: "no-store" }))).results;
}

/** The user's plan, or null if there is none. */
export async function readOwnPlan(): Promise<Plan | null> {
  const name = session.me?.plan;
  return name ? ((await readPlans()).find((plan) => plan.name === name) ?? null) : null;
}

// The API's documentation, in which calls can be tried with the session of the web page.

import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import { mendMarkup } from "./mend";

/** Where the web page keeps who is logged in. */
const STORED_USER = "tintype.user";
/** The scheme of the OpenAPI document. */
const SCHEME = "bearer";
/** Milliseconds before its end at which a token is renewed. */
const EARLY = 30_000;

let token: string | null = null;
let endsAt = 0;

/** Gets an access token with the session cookie, if somebody is logged in. */
async function renew(): Promise<void> {
  if (localStorage.getItem(STORED_USER) === null) return;
  const headers = { "content-type": "application/json" };
  const answer = await fetch("/api/auth/refresh", { method: "POST", headers, body: "{}" });
  if (!answer.ok) return;
  const tokens = (await answer.json()) as { access_token: string; expires_in: number };
  token = tokens.access_token;
  endsAt = Date.now() + tokens.expires_in * 1000;
  ui.preauthorizeApiKey(SCHEME, token);
}

const root = document.querySelector("#docs") as HTMLElement;
mendMarkup(root);
const ui = SwaggerUI({
  domNode: root,
  url: "/api/openapi.json",
  deepLinking: true,
  displayRequestDuration: true,
  async requestInterceptor(request) {
    if (token !== null && request.headers["Authorization"] === `Bearer ${token}` && Date.now() > endsAt - EARLY) {
      await renew();
      request.headers["Authorization"] = `Bearer ${token}`;
    }
    return request;
  },
  onComplete: () => void renew(),
});

// Logging out in another tab ends the session here too.
window.addEventListener("storage", ({ key, newValue }) => {
  if (key !== STORED_USER) return;
  token = null;
  ui.authActions.logout([SCHEME]);
  if (newValue !== null) void renew();
});

const dark = matchMedia("(prefers-color-scheme: dark)");
const applyScheme = (): boolean => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", applyScheme);
applyScheme();

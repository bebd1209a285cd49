import type { Component } from "svelte";
import { tick } from "svelte";
import Explore from "../pages/Explore.svelte";
import { randomKey } from "./random";
import { words } from "./words";

/** The visitors that may see a page. `guest`: only those who are not logged in. The service decides again with each request. */
export type Access = "anyone" | "guest" | "user" | "admin";

type PageComponent = Component<Record<string, never>>;

export interface Route {
  name: string;
  path: RegExp;
  title: string;
  access: Access;
  /** The page, or how to load it. Explore is in the first chunk: it is what most visitors see first. */
  page: PageComponent | (() => Promise<{ default: PageComponent }>);
  lazy: boolean;
}

const eager = (name: string, path: RegExp, title: string, access: Access, page: PageComponent): Route => ({
  name,
  path,
  title,
  access,
  page,
  lazy: false,
});
const lazy = (
  name: string,
  path: RegExp,
  title: string,
  access: Access,
  page: () => Promise<{ default: PageComponent }>,
): Route => ({ name, path, title, access, page, lazy: true });

export const routes: Route[] = [
  eager("explore", /^\/$/, words.nav.explore, "anyone", Explore),
  lazy(
    "image",
    /^\/i\/(?<id>[A-Za-z0-9_-]{1,64})$/,
    words.pages.image,
    "anyone",
    () => import("../pages/Image.svelte"),
  ),
  lazy("images", /^\/images$/, words.nav.myImages, "user", () => import("../pages/MyImages.svelte")),
  lazy("links", /^\/links$/, words.nav.links, "user", () => import("../pages/Links.svelte")),
  lazy("account", /^\/account$/, words.nav.account, "user", () => import("../pages/Account.svelte")),
  lazy("admin", /^\/admin$/, words.nav.admin, "admin", () => import("../pages/Admin.svelte")),
  lazy("login", /^\/login$/, words.nav.logIn, "guest", () => import("../pages/Login.svelte")),
  lazy("signup", /^\/signup$/, words.nav.signUp, "guest", () => import("../pages/Signup.svelte")),
  lazy("confirm", /^\/confirm$/, words.pages.confirm, "guest", () => import("../pages/Confirm.svelte")),
  lazy("reset", /^\/reset$/, words.pages.reset, "guest", () => import("../pages/Reset.svelte")),
  lazy("job", /^\/jobs\/(?<id>[A-Za-z0-9_-]{1,64})$/, words.pages.job, "anyone", () => import("../pages/Job.svelte")),
];

const notFound = lazy("notFound", /^/, words.pages.notFound, "anyone", () => import("../pages/NotFound.svelte"));

interface HistoryState {
  /** Names the entry of the history, so that a page finds what it kept there. */
  key: string;
  /** The page over which the large view is open, and its key. */
  over?: { href: string; key: string };
}

interface HistoryPlace {
  scroll: number;
  kept?: unknown;
}

const PLACES = "tintype.places";

function find(path: string): { route: Route; params: Record<string, string> } {
  for (const route of routes) {
    const match = route.path.exec(path);
    if (match) return { route, params: match.groups ?? {} };
  }
  return { route: notFound, params: {} };
}

function stateOf(value: unknown): HistoryState {
  const state = value as Partial<HistoryState> | null;
  return typeof state?.key === "string" ? (state as HistoryState) : { key: randomKey() };
}

class Router {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));
  /** The key of the page's entry in the history. */
  key = $state("");
  /** The image in the large view over the page. */
  overlay = $state<string | null>(null);
  #found = $derived(find(this.path));
  /** The page's own title, where the route's does not say enough. */
  #title = $state<{ key: string; title: string } | null>(null);
  #places = new Map<string, HistoryPlace>();
  #keep: (() => unknown) | null = null;

  get route(): Route {
    return this.#found.route;
  }

  get params(): Record<string, string> {
    return this.#found.params;
  }

  /** The page's address within this site. */
  get href(): string {
    const query = this.query.toString();
    return query ? `${this.path}?${query}` : this.path;
  }

  get title(): string {
    return this.#title?.key === this.key ? this.#title.title : this.route.title;
  }

  /** Gives the current page a title of its own. */
  setTitle(title: string): void {
    this.#title = { key: this.key, title };
  }

  start(): void {
    history.scrollRestoration = "manual";
    this.#places = new Map(JSON.parse(sessionStorage.getItem(PLACES) ?? "[]") as [string, HistoryPlace][]);
    // A reload shows the image's own page.
    const { key } = stateOf(history.state);
    history.replaceState({ key }, "");
    window.addEventListener("popstate", ({ state }) => {
      // A jump within the page, such as "Skip to content", makes an entry without a state.
      if (state === null) return history.replaceState({ key: this.key }, "");
      this.#remember();
      this.#show(stateOf(state));
    });
    window.addEventListener("pagehide", () => {
      this.#remember();
      sessionStorage.setItem(PLACES, JSON.stringify([...this.#places]));
    });
    document.addEventListener("click", (event) => this.#follow(event));
    this.#show({ key });
  }

  /** Goes to an address of this site. `replace` leaves no entry in the history for the page that is left. */
  go(href: string, { replace = false }: { replace?: boolean } = {}): void {
    this.#remember();
    this.#enter({ key: randomKey() }, href, replace);
  }

  /** Opens an image's address over the page, which stays as it is; from one image to the next it is replaced. */
  openOver(href: string): void {
    const state = stateOf(history.state);
    const over = state.over ?? { href: location.pathname + location.search, key: this.key };
    this.#enter({ key: randomKey(), over }, href, state.over !== undefined);
  }

  closeOver(): void {
    if (stateOf(history.state).over) history.back();
  }

  /** Registers what the page keeps when it is left, such as the row at the top. Returns the function that ends it. */
  onLeave(keep: () => unknown): () => void {
    this.#keep = keep;
    return () => {
      if (this.#keep === keep) this.#keep = null;
    };
  }

  /** Returns the state that the page kept in this entry of the history, if it was here before. It then scrolls by itself. */
  kept(): unknown {
    return this.#places.get(this.key)?.kept;
  }

  #remember(): void {
    this.#places.set(this.key, { scroll: window.scrollY, kept: this.#keep?.() });
  }

  #enter(state: HistoryState, href: string, replace: boolean): void {
    const url = new URL(href, location.href);
    if (replace) history.replaceState(state, "", url);
    else history.pushState(state, "", url);
    this.#show(state);
  }

  #show(state: HistoryState): void {
    const page = new URL(state.over?.href ?? location.href, location.origin);
    this.overlay = state.over ? (find(location.pathname).params.id ?? null) : null;
    const key = state.over?.key ?? state.key;
    if (key === this.key) return;
    this.path = page.pathname;
    this.query = page.searchParams;
    this.key = key;
    void this.#restoreScroll();
  }

  async #restoreScroll(): Promise<void> {
    const place = this.#places.get(this.key);
    await tick();
    if (place?.kept === undefined) window.scrollTo(0, place?.scroll ?? 0);
  }

  /** Follows links within the site without a reload. */
  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (find(link.pathname).route === notFound) return;
    // A jump within the page, such as "Skip to content".
    if (link.hash && link.pathname === location.pathname) return;
    event.preventDefault();
    this.go(link.href);
  }
}

export const router = new Router();

import { serviceTime } from "./clock";
import { ApiError, anonymousApi, ask, formApi, isAborted, type Me } from "./http";

/**
 * The session of this browser. The access token is in memory alone; the refresh token is a cookie that no script can
 * read. `localStorage` holds only the id of the user who is logged in, so that tabs agree and a visitor who never
 * logged in asks for no renewal.
 *
 * - `starting`: the page was just loaded, and the session is being renewed.
 * - `unreachable`: as `starting`, but the service gave no answer. It is asked again.
 * - `anonymous`: nobody is logged in.
 * - `active`: `me` is logged in.
 * - `expired`: the service refuses to renew the session. Private pages ask to log in; what is in memory is kept until
 *   another user logs in.
 */
export type SessionStatus = "starting" | "unreachable" | "anonymous" | "active" | "expired";

const STORED_USER = "tintype.user";
/** Milliseconds that a logout waits for what must reach the service before it. */
const LOGOUT_WAIT = 3000;
/** Seconds that a token must still be valid to be sent. */
const TOKEN_REST = 10;
/** Milliseconds until a service that gave no answer is asked again. */
const RETRY = 10_000;

type Message = { kind: "login"; user: string } | { kind: "logout" };

// The refresh token goes into the cookie, not into the answer.
const asCookie = { cookie: true };

class Session {
  status = $state<SessionStatus>("starting");
  me = $state.raw<Me | null>(null);
  /** Changes when the user does, or logs out: state of an older generation is another user's. */
  generation = $state(0);
  /** Resolves once it is known whether somebody is logged in. */
  readonly started: Promise<void>;

  token: string | null = null;
  /** The id of the user that `token` belongs to. Stays while the session is expired. */
  #user: string | null = null;
  #abort = new AbortController();
  #renewal: Promise<boolean> | null = null;
  #cleanups = new Set<() => void>();
  #logOutTasks = new Set<() => Promise<void>>();
  #settle: () => void = () => undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #channel = new BroadcastChannel("tintype.session");

  constructor() {
    this.started = new Promise((resolve) => (this.#settle = resolve));
  }

  /** Aborted when the user logs out or another one logs in. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** True while there is a session that can be renewed. */
  get isLoggedIn(): boolean {
    return this.token !== null;
  }

  /** Registers what drops private state when the user changes or logs out. Returns the function that unregisters it. */
  onEnd(cleanup: () => void): () => void {
    this.#cleanups.add(cleanup);
    return () => this.#cleanups.delete(cleanup);
  }

  /** Registers what must reach the service while the session still can. A logout waits for it, but not for long. */
  beforeLogOut(task: () => Promise<void>): void {
    this.#logOutTasks.add(task);
  }

  async start(): Promise<void> {
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => this.#hear(data);
    window.addEventListener("storage", ({ key, newValue }) => {
      if (key === STORED_USER) this.#hear(newValue ? { kind: "login", user: newValue } : { kind: "logout" });
    });
    // A page that comes back from the browser's cache may have missed a logout.
    window.addEventListener("pageshow", ({ persisted }) => {
      const user = stored();
      if (persisted) this.#hear(user ? { kind: "login", user } : { kind: "logout" });
    });
    window.addEventListener("online", () => this.#askAgain());
    if (stored() === null) this.status = "anonymous";
    else await this.#adopt();
    this.#settle();
  }

  async logIn(email: string, password: string, newPassword?: string): Promise<void> {
    const body = { email, password, ...(newPassword === undefined ? {} : { new_password: newPassword }), ...asCookie };
    const tokens = await ask(formApi.POST("/api/auth/login", { body }));
    this.#accept(tokens.access_token);
    this.#tell({ kind: "login", user: userOf(tokens.access_token) });
    await this.reloadMe();
  }

  /**
   * Ends this session, or all of the user's. The other tabs do not wait for the service. Without its answer local state is
   * dropped all the same; but all sessions end only if it says so: if not, this throws and the tabs go on.
   */
  async logOut(everywhere = false): Promise<void> {
    const user = this.#user;
    const { generation } = this;
    this.#tell({ kind: "logout" });
    const tasks = Promise.allSettled([...this.#logOutTasks].map((task) => task()));
    await Promise.race([tasks, new Promise((resolve) => setTimeout(resolve, LOGOUT_WAIT))]);
    // A token that has expired ends no session.
    await this.renewIfShort(TOKEN_REST).catch(() => undefined);
    // Another user may have logged in in another tab meanwhile: the token and the cookie are that user's.
    if (generation !== this.generation) return;
    const token = this.token;
    const body = { everywhere, ...asCookie };
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = anonymousApi.POST("/api/auth/logout", { body, headers, keepalive: true });
    if (everywhere) {
      try {
        await ask(answer);
      } catch (error) {
        if (user !== null) this.#tell({ kind: "login", user });
        throw error;
      }
      if (generation !== this.generation) return;
    }
    this.end();
    await answer.catch(() => undefined);
  }

  /** Drops all private state here and in the other tabs. */
  end(): void {
    this.#drop();
    this.status = "anonymous";
    this.#tell({ kind: "logout" });
  }

  /** Reads the user again: name, plan and usage. */
  async reloadMe(): Promise<void> {
    const { generation } = this;
    const me = await this.#readMe();
    // The session may have ended meanwhile.
    if (!me || generation !== this.generation || this.token === null) return;
    // What was loaded without the session is loaded anew. Now, not later: work of the session may begin with `me`.
    if (this.status === "unreachable") this.generation++;
    this.me = me;
    this.status = "active";
  }

  /** Undefined if the session has ended. */
  async #readMe(): Promise<Me | undefined> {
    for (let isFirst = true; ; isFirst = false) {
      const { token } = this;
      if (token === null) return undefined;
      const headers = { Authorization: `Bearer ${token}` };
      try {
        return await ask(anonymousApi.GET("/api/me", { headers, signal: this.signal }));
      } catch (error) {
        if (!isFirst || !(error instanceof ApiError) || error.status !== 401) throw error;
        await this.renew(token);
      }
    }
  }

  /**
   * Renews the access token that was refused, once for all requests that meet the refusal together. False if the
   * session has ended. Throws if the service cannot be reached, which ends nothing.
   */
  renew(refused: string | null): Promise<boolean> {
    if (this.token !== null && this.token !== refused) return Promise.resolve(true);
    if (this.#renewal) return this.#renewal;
    const renewal = this.#renewNow().finally(() => {
      if (this.#renewal === renewal) this.#renewal = null;
    });
    this.#renewal = renewal;
    return renewal;
  }

  /** Renews a token that ends within some seconds. */
  async renewIfShort(seconds: number): Promise<void> {
    const { token } = this;
    if (token && (claimsOf(token).exp - seconds) * 1000 < serviceTime()) await this.renew(token);
  }

  async #renewNow(): Promise<boolean> {
    const { generation } = this;
    try {
      // The cookie is not set anew: a late answer must not replace that of a later login.
      const body = { cookie: false };
      const tokens = await ask(anonymousApi.POST("/api/auth/refresh", { body }));
      if (generation !== this.generation) return false;
      this.#accept(tokens.access_token);
      // The cookie is another user's already: this tab is ahead of the message about that login.
      if (generation !== this.generation) {
        this.status = "starting";
        void this.#adopt();
      }
      return true;
    } catch (error) {
      // Without the cookie the request is invalid.
      if (!(error instanceof ApiError) || (error.status !== 401 && error.status !== 422)) throw error;
      if (generation === this.generation) {
        this.token = null;
        this.status = this.#isUnknown ? "anonymous" : "expired";
        if (this.status === "anonymous") this.#tell({ kind: "logout" });
      }
      return false;
    }
  }

  /** Asks a service again that gave no answer, as the user wishes. */
  retry(): void {
    this.status = "starting";
    void this.#adopt();
  }

  #askAgain(): void {
    if (this.status === "unreachable") void this.#adopt();
  }

  /** True until the service has said whether somebody is logged in. */
  get #isUnknown(): boolean {
    return this.status === "starting" || this.status === "unreachable";
  }

  /** Takes over the session that another tab began, or an earlier page. */
  async #adopt(): Promise<void> {
    clearTimeout(this.#retryTimer);
    try {
      if (!(await this.renew(this.token))) return;
      await this.reloadMe();
    } catch (error) {
      if (isAborted(error) || !this.#isUnknown) return;
      this.status = "unreachable";
      this.#retryTimer = setTimeout(() => this.#askAgain(), RETRY);
    }
  }

  /** Takes a token; one of another user ends what was there. */
  #accept(token: string): void {
    const user = userOf(token);
    if (this.#user !== null && this.#user !== user) this.#drop();
    this.token = token;
    this.#user = user;
  }

  #drop(): void {
    this.token = null;
    this.#user = null;
    this.me = null;
    this.generation++;
    // One that is under way belongs to the old generation, and ends without a token.
    this.#renewal = null;
    this.#abort.abort();
    this.#abort = new AbortController();
    for (const cleanup of this.#cleanups) cleanup();
  }

  #tell(message: Message): void {
    if (message.kind === "login") localStorage.setItem(STORED_USER, message.user);
    else localStorage.removeItem(STORED_USER);
    this.#channel.postMessage(message);
  }

  #hear(message: Message): void {
    if (message.kind === "logout") {
      if (this.status === "anonymous") return;
      this.#drop();
      this.status = "anonymous";
    } else if (message.user !== this.#user || this.status === "expired") {
      if (this.#user !== null && message.user !== this.#user) this.#drop();
      this.status = "starting";
      void this.#adopt();
    }
  }
}

function stored(): string | null {
  return localStorage.getItem(STORED_USER);
}

/** The user's id in an access token. */
function userOf(token: string): string {
  return claimsOf(token).sub;
}

/** `exp` is in seconds since 1970. */
function claimsOf(token: string): { sub: string; exp: number } {
  const payload = token.split(".")[1] ?? "";
  return JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as { sub: string; exp: number };
}

export const session = new Session();

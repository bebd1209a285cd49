/**
 * The upload queue of one user.
 *
 * ```text
 * waiting → hashing → hashed → registering → registered → uploading → processing → ready
 *              └─────────┴──→ present (the service has the content)                 └→ failed
 * ```
 *
 * Each step takes only what the next one needs soon, so that memory and upload URLs in use do not grow with the number of files.
 * Calls that meet a lost connection, a busy service or an expired session wait and are repeated; only a refusal fails a file.
 */

import type { Visibility } from "../lib/http";
import { randomKey } from "../lib/random";
import type { Part } from "./files";
import { formatOfName } from "./formats";
import type { Hash } from "./hasher";
import { type Journal, stampOf } from "./journal";
import type { Put } from "./put";
import { type ContentType, type Grant, type Limits, type Remote, type Service, ServiceError } from "./service";
import { nextTitle, normalTitle, titleProblem } from "./titles";

export const STATES = [
  "waiting",
  "hashing",
  "hashed",
  "registering",
  "registered",
  "uploading",
  "processing",
  "ready",
  "failed",
  "present",
  "cancelled",
] as const;
export type FileState = (typeof STATES)[number];

export type FailureCode =
  | "empty"
  | "too_large"
  | "bad_title"
  | "foreign_format"
  | "not_an_image"
  | "unreadable"
  | "changed"
  | "title_taken"
  | "image_limit"
  | "plan_required"
  | "rejected"
  | "refused"
  | "connection"
  | "gone";

export interface Failure {
  code: FailureCode;
  /** The service's message. */
  detail?: string;
  /** A format's name, where it is not accepted. */
  format?: string;
  /** The content types that are accepted. */
  accepted?: readonly string[];
  /** Bytes or images that the plan allows. */
  limit?: number;
  /** A title that may be free. */
  otherTitle?: string;
}

export interface QueuedFile {
  readonly key: number;
  readonly file: File;
  readonly path: string;
  readonly visibility: Visibility;
  title: string;
  state: FileState;
  /** Bytes that were sent. */
  sent: number;
  content?: string;
  type?: string;
  /** The image: this file's, or the one that has its content or its title. */
  id?: string;
  /** A file earlier in the queue with the same content. */
  duplicateOf?: QueuedFile;
  grant?: Grant;
  failure?: Failure;
}

export interface Pause {
  is: "offline" | "connection" | "busy" | "login";
  /** When the next try is made, in milliseconds. */
  until?: number;
}

export interface QueueOptions {
  service: Service;
  journal: Journal;
  hash: Hash;
  put: Put;
  accepted: readonly string[];
  onChange: () => void;
  /** Called for each image that became ready. */
  onReady?: (id: string) => void;
}

const CONCURRENT_PUTS = 4;
const HASHED_AHEAD = 64;
/** A batch is registered when fewer files than this are ready to be sent. */
const REGISTERED_LOW = 12;
const MAX_BATCH = 50;
/** Milliseconds in which all that is registered should have been started. Upload URLs live for 15 minutes. */
const REGISTERED_FOR = 4 * 60_000;
/** Bytes per millisecond, before anything was measured. */
const FIRST_RATE = 500;
/** Milliseconds that must be left of an upload URL. */
const MARGIN = 10_000;
const MAX_TRIES = 8;
const LONGEST_WAIT = 30_000;

const PAGE_LIMIT = 100;
const FULL_LIST_FROM = 200;
/** Milliseconds by which images may be listed out of order. */
const LIST_SLACK = 10 * 60_000;
const POLL_FIRST = 1000;
const POLL_LONGEST = 10_000;
const POLL_PAGES = 5;
const POLL_SINGLE = 8;

/** A file changed more recently than this, in milliseconds, may change again without a visible difference. */
const YOUNG = 2000;

const NOT_UPLOADED: readonly FileState[] = ["failed", "present", "cancelled"];
const ACTIVE: readonly FileState[] = ["waiting", "hashing", "hashed", "registering", "registered", "uploading"];

/** True for files that closing the page would lose. */
export function inProgress(state: FileState): boolean {
  return ACTIVE.includes(state);
}

/** The image that a file became, or that has its content or its title. */
export function imageOf(item: QueuedFile): string | undefined {
  return item.id ?? item.duplicateOf?.id;
}

class Ended extends Error {}

export class UploadQueue {
  items: QueuedFile[] = [];
  counts: Record<FileState, number> = emptyCounts();
  /** Files beside pictures, which were passed over. */
  skipped = 0;
  /** Paths that could not be read. */
  unreadable: string[] = [];
  /** Of files that are uploaded or will be. */
  totalBytes = 0;
  sentBytes = 0;
  pause: Pause | null = null;

  readonly #options: QueueOptions;
  readonly #end = new AbortController();
  readonly #uploads = new Map<QueuedFile, AbortController>();
  #lastKey = 0;
  #waiting: QueuedFile[] = [];
  #head = 0;
  #hashed: QueuedFile[] = [];
  #registered: QueuedFile[] = [];
  readonly #processing = new Map<string, QueuedFile>();
  /** The first file of each content; the others are its duplicates. */
  readonly #byContent = new Map<string, QueuedFile>();
  readonly #duplicates = new Map<QueuedFile, QueuedFile[]>();
  #hashing = false;
  #registering = false;
  #polling = false;
  #limits: Limits | null = null;
  #limitsAsked: Promise<void> | null = null;
  /** Files that became images since the limits were read. */
  #madeSinceLimits = 0;
  #listed: Promise<void> | null = null;
  #listedInFull = false;
  readonly #onServer = new Map<string, Remote>();
  #wake: (() => void)[] = [];
  #failures = 0;
  #rate = FIRST_RATE;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Files that closing the page would lose. */
  get active(): number {
    return ACTIVE.reduce((sum, state) => sum + this.counts[state], 0);
  }

  /** Files that are not on the list. */
  get passedOver(): number {
    return this.skipped + this.unreadable.length;
  }

  get ended(): boolean {
    return this.#end.signal.aborted;
  }

  // ---- What a person does --------------------------------------------------------------------------

  add({ found, skipped, unreadable }: Part, visibility: Visibility): void {
    if (this.ended) return;
    if (this.active === 0 && found.length > 0) {
      this.#renewLimits();
      this.#forgetLists();
    }
    this.skipped += skipped;
    this.unreadable.push(...unreadable);
    for (const { file, path } of found) {
      const item: QueuedFile = {
        key: ++this.#lastKey,
        file,
        path,
        visibility,
        title: normalTitle(path),
        state: "waiting",
        sent: 0,
      };
      this.items.push(item);
      this.#count(item, 1);
      const failure = this.#refusal(item);
      if (failure) this.#fail(item, failure);
      else this.#waiting.push(item);
    }
    this.#options.onChange();
    this.#pump();
  }

  cancel(item: QueuedFile): void {
    if (!inProgress(item.state)) return;
    const { id, state } = item;
    this.#set(item, "cancelled");
    this.#hashed = this.#hashed.filter((other) => other !== item);
    this.#registered = this.#registered.filter((other) => other !== item);
    this.#uploads.get(item)?.abort();
    this.#release(item);
    if (id && (state === "registered" || state === "uploading")) this.#discard([id]);
    this.#pump();
  }

  cancelAll(): void {
    const ids: string[] = [];
    for (const item of this.items) {
      if (!inProgress(item.state)) continue;
      if (item.id && (item.state === "registered" || item.state === "uploading")) ids.push(item.id);
      this.#set(item, "cancelled");
      this.#uploads.get(item)?.abort();
    }
    this.#waiting = [];
    this.#head = 0;
    this.#hashed = [];
    this.#registered = [];
    for (const item of this.items) {
      if (item.state === "cancelled") this.#forgetContent(item);
      // Its content came with a file that is cancelled now.
      if (item.state === "present" && item.duplicateOf?.state === "cancelled") this.#set(item, "cancelled");
    }
    this.#duplicates.clear();
    this.#discard(ids);
  }

  /** Tries a failed or cancelled file again, perhaps under another title. */
  retry(item: QueuedFile, title?: string): void {
    if (item.state !== "failed" && item.state !== "cancelled") return;
    if (this.active === 0) this.#renewLimits();
    this.#again(item, title);
    this.#pump();
  }

  /** Tries all failed files again; those whose titles are taken under other titles, where `otherTitles` is set. */
  retryFailed(otherTitles = false): void {
    if (this.active === 0) this.#renewLimits();
    for (const item of this.items) {
      if (item.state === "failed") this.#again(item, otherTitles ? item.failure?.otherTitle : undefined);
    }
    this.#pump();
  }

  /** Takes finished files off the list. */
  clear(): void {
    this.#keep(this.items.filter((item) => inProgress(item.state) || item.state === "processing"));
    this.#options.onChange();
  }

  /** Forgets deleted images, so that their files can be uploaded again. */
  async forget(ids: string[]): Promise<void> {
    const gone = new Set(ids);
    for (const [content, { id }] of this.#onServer) if (gone.has(id)) this.#onServer.delete(content);
    for (const [content, { id }] of this.#byContent) if (id && gone.has(id)) this.#byContent.delete(content);
    await this.#options.journal.forget(ids).catch(ignore);
  }

  // ---- What happens around it ----------------------------------------------------------------------

  setOnline(online: boolean): void {
    if (!online) this.#setPause({ is: "offline" });
    else if (this.pause?.is === "offline" || this.pause?.is === "connection") this.#setPause(null);
  }

  /** The user has logged in again. */
  resume(): void {
    if (this.pause?.is === "login") this.#setPause(null);
  }

  /** Ends all work at once: the user has logged out. */
  end(): void {
    this.#end.abort();
    for (const upload of this.#uploads.values()) upload.abort();
    this.#keep([]);
    this.#waiting = [];
    this.#hashed = [];
    this.#registered = [];
    this.#processing.clear();
    this.#byContent.clear();
    this.#duplicates.clear();
    this.#onServer.clear();
    this.#setPause(null);
    this.#options.journal.close();
  }

  // ---- The steps -----------------------------------------------------------------------------------

  #pump(): void {
    if (this.ended) return;
    if (!this.#hashing && this.#hashed.length < HASHED_AHEAD) {
      const item = this.#nextWaiting();
      if (item) {
        this.#hashing = true;
        this.#run(item, this.#look(item), () => (this.#hashing = false));
      }
    }
    if (!this.#registering && this.#registered.length < REGISTERED_LOW && this.#hashed.length > 0) {
      // A batch is worth waiting for while files are being sent.
      const idle = this.#uploads.size < CONCURRENT_PUTS && this.#registered.length === 0;
      if (idle || !this.#hashing || this.#hashed.length >= MAX_BATCH / 2) {
        this.#registering = true;
        const batch = this.#takeBatch();
        this.#run(batch, this.#register(batch), () => (this.#registering = false));
      }
    }
    while (this.#uploads.size < CONCURRENT_PUTS) {
      const item = this.#registered.shift();
      if (!item) break;
      if (item.state !== "registered") continue;
      const abort = new AbortController();
      this.#uploads.set(item, abort);
      this.#run(item, this.#send(item, abort.signal), () => {
        if (this.#uploads.get(item) === abort) this.#uploads.delete(item);
      });
    }
    if (!this.#polling && this.#processing.size > 0) {
      this.#polling = true;
      this.#run([], this.#watch(), () => (this.#polling = false));
    }
  }

  #run(of: QueuedFile | QueuedFile[], work: Promise<void>, done: () => void): void {
    work
      .catch((error: unknown) => {
        if (error instanceof Ended || this.ended) return;
        const failure: Failure =
          error instanceof ServiceError ? refusalOf(error) : { code: "refused", detail: String(error) };
        for (const item of [of].flat()) if (inProgress(item.state)) this.#fail(item, failure);
      })
      .finally(() => {
        done();
        this.#pump();
      });
  }

  #nextWaiting(): QueuedFile | null {
    if (this.#limits) {
      // Files in progress may be present already, which leaves room.
      const room = this.#limits.maxImages - this.#limits.images - this.#madeSinceLimits;
      const underWay = this.active - this.counts.waiting;
      if (room > 0 && underWay >= room) return null;
    }
    while (this.#head < this.#waiting.length) {
      const item = this.#waiting[this.#head++];
      if (this.#head > 1000) {
        this.#waiting = this.#waiting.slice(this.#head);
        this.#head = 0;
      }
      if (item?.state === "waiting") return item;
    }
    return null;
  }

  /** Finds out what a file is, and whether the service has it. */
  async #look(item: QueuedFile): Promise<void> {
    this.#set(item, "hashing");
    await this.#limitsAsked;
    if (item.state !== "hashing") return;
    const refusal = this.#refusal(item);
    if (refusal) return this.#fail(item, refusal);

    const seen = isYoung(item.file) ? undefined : await this.#options.journal.contentOf(stamp(item)).catch(ignore);
    if (seen && (await this.#isPresent(item, seen))) return;
    if (item.state !== "hashing") return;

    const limits = this.#limits;
    if (limits && limits.images + this.#madeSinceLimits >= limits.maxImages) {
      return this.#fail(item, { code: "image_limit", limit: limits.maxImages });
    }
    const digest = await this.#options.hash(item.file, this.#accepted);
    if (this.ended) throw new Ended();
    if (item.state !== "hashing") return;
    if (!digest) return this.#fail(item, { code: "unreadable" });
    if (!digest.sha256 || !digest.format?.type) {
      const format = digest.format?.name;
      return this.#fail(item, this.#foreign(format));
    }
    item.content = digest.sha256;
    item.type = digest.format.type;
    if (this.#isDuplicate(item, item.content)) return;
    this.#set(item, "hashed");
    this.#hashed.push(item);
  }

  /** Handles a file whose content the service has, wholly or registered. Returns false for others. */
  async #isPresent(item: QueuedFile, content: string): Promise<boolean> {
    const remote = await this.#remoteOf(content);
    if (!remote || !inProgress(item.state)) return false;
    item.content = content;
    item.id = remote.id;
    if (remote.status === "pending") {
      if (this.#isDuplicate(item, content)) return true;
      this.#set(item, "registered");
      this.#registered.push(item);
    } else {
      this.#set(item, "present");
      this.#note(item);
    }
    return true;
  }

  /** The user's image with this content, which the service is known to have now. */
  async #remoteOf(content: string): Promise<Remote | null> {
    await this.#list();
    const listed = this.#onServer.get(content);
    if (listed) return listed;
    const id = await this.#options.journal.imageOf(content).catch(ignore);
    if (!id) return null;
    const remote = await this.#call((signal) => this.#options.service.image(id, signal));
    if (remote && remote.status !== "rejected" && remote.sha256 === content) return remote;
    await this.#options.journal.forget([id]).catch(ignore);
    return null;
  }

  /** Reads the list of images as far as it is new, or in full for many files. */
  #list(): Promise<void> {
    const inFull = this.items.length >= FULL_LIST_FROM;
    if (!this.#listed || (inFull && !this.#listedInFull)) {
      this.#listedInFull = inFull;
      this.#listed = this.#readList(inFull);
    }
    return this.#listed;
  }

  async #readList(inFull: boolean): Promise<void> {
    const { journal, service } = this.#options;
    const before = (await journal.readUpTo().catch(ignore)) ?? 0;
    let newest = before;
    let cursor: string | null | undefined;
    for (let page = 0; page < PAGE_LIMIT; page++) {
      const query = cursor ? { cursor } : {};
      const { images, next } = await this.#call((signal) => service.images(query, signal));
      const entries: { content: string; id: string }[] = [];
      let oldest = Infinity;
      for (const image of images) {
        const made = Date.parse(image.created_at);
        newest = Math.max(newest, made);
        oldest = Math.min(oldest, made);
        if (image.sha256 && image.status !== "rejected" && !this.#onServer.has(image.sha256)) {
          this.#onServer.set(image.sha256, image);
          entries.push({ content: image.sha256, id: image.id });
        }
      }
      await journal.note(entries).catch(ignore);
      cursor = next;
      if (!next || (!inFull && oldest < before - LIST_SLACK)) break;
    }
    await journal.setReadUpTo(newest).catch(ignore);
  }

  #takeBatch(): QueuedFile[] {
    const batch: QueuedFile[] = [];
    let bytes = this.#registered.reduce((sum, item) => sum + item.file.size, 0);
    while (batch.length < MAX_BATCH) {
      const item = this.#hashed[0];
      if (!item || (batch.length > 0 && bytes > this.#rate * REGISTERED_FOR)) break;
      this.#hashed.shift();
      if (item.state !== "hashed") continue;
      batch.push(item);
      bytes += item.file.size;
    }
    return batch;
  }

  async #register(candidates: QueuedFile[]): Promise<void> {
    const { service } = this.#options;
    const batch: QueuedFile[] = [];
    for (const item of candidates) {
      if (item.state === "hashed" && item.content && !(await this.#isPresent(item, item.content))) batch.push(item);
    }
    const items = batch.filter((item) => item.state === "hashed");
    if (items.length === 0) return;
    for (const item of items) this.#set(item, "registering");
    const drafts = items.map((item) => ({
      title: item.title,
      visibility: item.visibility,
      // The service refuses a type that it does not accept.
      content_type: item.type as ContentType,
      size: item.file.size,
      sha256: item.content ?? "",
    }));
    const key = randomKey();
    const results = await this.#call((signal) => service.register(drafts, key, signal));
    const cancelled: string[] = [];
    const taken: QueuedFile[] = [];
    let busy = false;
    items.forEach((item, index) => {
      const result = results[index];
      if (result?.is === "registered") {
        if (item.state !== "registering") return cancelled.push(result.id);
        item.id = result.id;
        item.grant = result.grant;
        this.#set(item, "registered");
        this.#registered.push(item);
      } else if (item.state !== "registering") {
        return;
      } else if (!result || result.status >= 500 || result.status === 429) {
        busy = true;
        this.#set(item, "hashed");
        this.#hashed.push(item);
      } else if (result.code === "title_taken") {
        taken.push(item);
      } else {
        this.#fail(item, { code: "refused", detail: result.detail });
      }
    });
    this.#discard(cancelled);
    this.#pump();
    for (const item of taken) await this.#whoseTitle(item);
    if (busy) this.#setPause({ is: "busy", until: Date.now() + this.#backoff() });
  }

  /** Another image has the file's title: the same content, or another one. */
  async #whoseTitle(item: QueuedFile): Promise<void> {
    const holder = await this.#imageTitled(item.title);
    if (item.state !== "registering") return;
    if (holder && holder.sha256 === item.content) {
      item.id = holder.id;
      if (holder.status === "pending") {
        this.#set(item, "registered");
        this.#registered.push(item);
      } else {
        this.#set(item, "present");
        this.#note(item);
      }
      return;
    }
    if (holder) item.id = holder.id;
    this.#fail(item, { code: "title_taken", otherTitle: nextTitle(item.title) });
  }

  async #imageTitled(title: string): Promise<Remote | null> {
    let cursor: string | null | undefined;
    for (let page = 0; page < POLL_PAGES; page++) {
      const query = cursor ? { titlePrefix: title, cursor } : { titlePrefix: title };
      const { images, next } = await this.#call((signal) => this.#options.service.images(query, signal));
      const holder = images.find((image) => image.status !== "rejected" && normalTitle(image.title) === title);
      if (holder) return holder;
      if (!next) break;
      cursor = next;
    }
    return null;
  }

  async #send(item: QueuedFile, signal: AbortSignal): Promise<void> {
    const { put, service } = this.#options;
    const id = item.id ?? "";
    this.#set(item, "uploading");
    for (let tries = 0, renewals = 0; ;) {
      if (!item.grant || item.grant.until - MARGIN < Date.now()) {
        if (++renewals > MAX_TRIES) return this.#fail(item, { code: "refused" });
        try {
          item.grant = await this.#call((end) => service.renew(id, end));
        } catch (error) {
          if (!(error instanceof ServiceError)) throw error;
          if (error.code === "not_pending") return this.#stored(item);
          if (error.code !== "not_found") throw error;
          // It waited too long, or was deleted.
          if (item.state !== "uploading") return;
          await this.forget([id]);
          return this.#again(item);
        }
      }
      if (item.state !== "uploading") return;
      await this.#untilOnline();
      const { upload } = item.grant;
      const started = Date.now();
      const result = await put(upload, item.file, (bytes) => this.#progress(item, bytes), signal);
      if (this.ended) throw new Ended();
      if (item.state !== "uploading") return;
      switch (result.is) {
        case "stored":
          this.#measure(item.file.size, Date.now() - started);
          return this.#stored(item);
        case "aborted":
          return;
        case "expired":
          this.#progress(item, 0);
          delete item.grant;
          break;
        case "unreadable":
        case "changed":
          this.#discard([id]);
          return this.#fail(item, { code: result.is });
        case "refused":
          this.#discard([id]);
          return this.#fail(item, { code: "refused", detail: `${result.code} (${result.status})` });
        case "retry": {
          this.#progress(item, 0);
          if (this.pause?.is === "offline") break;
          if (++tries > MAX_TRIES) return this.#fail(item, { code: "connection" });
          await this.#sleep(result.after ?? wait(tries), signal);
          // A connection that is lost altogether is waited for, however long it takes.
          if (result.connection && tries > 1) await this.#call((end) => service.limits(end));
        }
      }
    }
  }

  #stored(item: QueuedFile): void {
    if (item.state !== "uploading" || !item.id) return;
    this.#progress(item, item.file.size);
    this.#set(item, "processing");
    this.#processing.set(item.id, item);
    this.#note(item);
  }

  /** Waits until uploaded images are ready or rejected. Lists are newest first, as uploads are, so few pages tell of all. */
  async #watch(): Promise<void> {
    const { service } = this.#options;
    let pause = POLL_FIRST;
    while (this.#processing.size > 0) {
      await this.#sleep(pause);
      const left = this.#processing.size;
      const open = new Set(this.#processing.keys());
      let cursor: string | null | undefined;
      for (let page = 0; page < POLL_PAGES && open.size > 0; page++) {
        if (page > 0 && !cursor) break;
        const query = cursor ? { cursor } : {};
        const { images, next } = await this.#call((signal) => service.images(query, signal));
        for (const image of images) if (open.delete(image.id)) this.#settle(image);
        cursor = next;
      }
      for (const id of [...open].slice(0, POLL_SINGLE)) {
        const image = await this.#call((signal) => service.image(id, signal));
        if (image) this.#settle(image);
        else this.#lose(id, { code: "gone" });
      }
      pause = this.#processing.size < left ? POLL_FIRST : Math.min(pause * 1.5, POLL_LONGEST);
    }
  }

  #settle(image: Remote): void {
    const item = this.#processing.get(image.id);
    if (!item) return;
    if (image.status === "ready") {
      this.#processing.delete(image.id);
      this.#set(item, "ready");
      this.#options.onReady?.(image.id);
    } else if (image.status === "rejected") {
      this.#lose(
        image.id,
        image.reject_reason ? { code: "rejected", detail: image.reject_reason } : { code: "rejected" },
      );
    }
  }

  #lose(id: string, failure: Failure): void {
    const item = this.#processing.get(id);
    this.#processing.delete(id);
    void this.forget([id]);
    if (item) this.#fail(item, failure);
  }

  // ---- Files and their states ----------------------------------------------------------------------

  /** Returns why a file is refused, as far as is known without opening it. */
  #refusal(item: QueuedFile): Failure | null {
    const { file, title } = item;
    const format = formatOfName(file.name);
    if (format && !(format.type && this.#accepted.includes(format.type))) return this.#foreign(format.name);
    if (file.size === 0) return { code: "empty" };
    if (titleProblem(title)) return { code: "bad_title" };
    if (!this.#limits) return null;
    if (this.#limits.plan === null) return { code: "plan_required" };
    return file.size > this.#limits.maxBytes ? { code: "too_large", limit: this.#limits.maxBytes } : null;
  }

  /** The types that the service accepts: before it says so, all that it can. */
  get #accepted(): readonly string[] {
    return this.#limits?.accepted ?? this.#options.accepted;
  }

  #foreign(format: string | undefined): Failure {
    const accepted = this.#accepted;
    return format ? { code: "foreign_format", format, accepted } : { code: "not_an_image", accepted };
  }

  /** What was there when earlier files were added may be gone: it is asked for anew. */
  #forgetLists(): void {
    this.#listed = null;
    this.#listedInFull = false;
    this.#onServer.clear();
    for (const [content, { state }] of this.#byContent) {
      if (state !== "processing") this.#byContent.delete(content);
    }
  }

  #renewLimits(): void {
    this.#limitsAsked = this.#call((signal) => this.#options.service.limits(signal)).then(
      (limits) => {
        this.#limits = limits;
        this.#madeSinceLimits = 0;
        for (const item of this.items) {
          if (item.state !== "waiting") continue;
          const failure = this.#refusal(item);
          if (failure) this.#fail(item, failure);
        }
        this.#pump();
      },
      // The service refuses what it must when files are registered.
      ignore,
    );
  }

  /** Drops all other files from the list, and counts anew. */
  #keep(items: QueuedFile[]): void {
    this.items = items;
    this.skipped = 0;
    this.unreadable = [];
    this.counts = emptyCounts();
    this.totalBytes = 0;
    this.sentBytes = 0;
    for (const item of items) this.#count(item, 1);
  }

  /** Counts a file in (1) or out (-1): its state, and the bytes of what is uploaded or will be. */
  #count(item: QueuedFile, by: 1 | -1): void {
    this.counts[item.state] += by;
    if (NOT_UPLOADED.includes(item.state)) return;
    this.totalBytes += by * item.file.size;
    this.sentBytes += by * item.sent;
  }

  #set(item: QueuedFile, state: FileState): void {
    if (this.ended) return;
    if (state === "processing") this.#madeSinceLimits += 1;
    if (item.state === "processing" && state === "failed") this.#madeSinceLimits -= 1;
    this.#count(item, -1);
    item.state = state;
    this.#count(item, 1);
    this.#options.onChange();
  }

  #progress(item: QueuedFile, bytes: number): void {
    // A request sends nothing but the file; what is counted beyond it would not be true.
    this.#count(item, -1);
    item.sent = Math.min(bytes, item.file.size);
    this.#count(item, 1);
    this.#options.onChange();
  }

  #fail(item: QueuedFile, failure: Failure): void {
    if (this.ended) return;
    item.failure = failure;
    this.#set(item, "failed");
    this.#release(item);
  }

  /** Lets other files of the same content take a failed file's place. */
  #release(item: QueuedFile): void {
    this.#forgetContent(item);
    const duplicates = this.#duplicates.get(item) ?? [];
    this.#duplicates.delete(item);
    for (const other of duplicates) {
      if (other.state === "present" && other.duplicateOf === item) this.#again(other);
    }
  }

  #forgetContent(item: QueuedFile): void {
    if (item.content && this.#byContent.get(item.content) === item) this.#byContent.delete(item.content);
  }

  #isDuplicate(item: QueuedFile, content: string): boolean {
    const first = this.#byContent.get(content);
    if (!first || first === item) {
      this.#byContent.set(content, item);
      return false;
    }
    item.duplicateOf = first;
    const duplicates = this.#duplicates.get(first);
    if (duplicates) duplicates.push(item);
    else this.#duplicates.set(first, [item]);
    this.#set(item, "present");
    return true;
  }

  #again(item: QueuedFile, title?: string): void {
    if (title !== undefined) item.title = normalTitle(title);
    this.#forgetContent(item);
    this.#progress(item, 0);
    delete item.failure;
    delete item.id;
    delete item.grant;
    delete item.duplicateOf;
    this.#set(item, "waiting");
    const failure = this.#refusal(item);
    if (failure) this.#fail(item, failure);
    else this.#waiting.push(item);
  }

  #note(item: QueuedFile): void {
    if (!item.content || !item.id) return;
    const entry = { content: item.content, id: item.id };
    const full = isYoung(item.file) ? entry : { ...entry, stamp: stamp(item) };
    this.#options.journal.note([full]).catch(ignore);
  }

  #discard(ids: string[]): void {
    if (ids.length === 0) return;
    void this.forget(ids);
    // An image that cannot be discarded now expires by itself within a day.
    this.#call((signal) => this.#options.service.discard(ids, signal)).catch(ignore);
  }

  #measure(bytes: number, milliseconds: number): void {
    const rate = (bytes / Math.max(milliseconds, 1)) * this.#uploads.size;
    this.#rate = this.#rate * 0.7 + rate * 0.3;
  }

  // ---- Waiting -------------------------------------------------------------------------------------

  async #call<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (let broken = 0; ;) {
      while (this.pause) await this.#pauseOver();
      if (this.ended) throw new Ended();
      try {
        const answer = await ask(this.#end.signal);
        this.#failures = 0;
        if (this.ended) throw new Ended();
        return answer;
      } catch (error) {
        if (this.ended) throw new Ended();
        if (!(error instanceof ServiceError) || error.is === "refused") throw error;
        if (error.is === "session") {
          this.#setPause({ is: "login" });
        } else {
          // A service that fails, and is not merely busy, is given up at some point.
          if (error.code === "internal" && ++broken > MAX_TRIES) throw error;
          this.#setPause({ is: error.is, until: Date.now() + (error.after ?? this.#backoff()) });
        }
      }
    }
  }

  #backoff(): number {
    return wait(++this.#failures);
  }

  #setPause(pause: Pause | null): void {
    // Being offline or logged out lasts until it is over, whatever else goes wrong meanwhile.
    const lasting = this.pause && this.pause.until === undefined;
    if (lasting && pause?.until !== undefined) return;
    this.pause = pause;
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
    this.#options.onChange();
  }

  async #pauseOver(): Promise<void> {
    const pause = this.pause;
    if (!pause) return;
    const changed = new Promise<void>((resolve) => this.#wake.push(resolve));
    if (pause.until === undefined) return changed;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.max(0, (pause.until ?? 0) - Date.now()));
    });
    await Promise.race([changed, over]);
    clearTimeout(timer);
    if (this.pause === pause) this.#setPause(null);
  }

  async #untilOnline(): Promise<void> {
    while (this.pause?.is === "offline") await this.#pauseOver();
    if (this.ended) throw new Ended();
  }

  async #sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const signals = signal ? [this.#end.signal, signal] : [this.#end.signal];
      const end = (): void => {
        clearTimeout(timer);
        for (const each of signals) each.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      for (const each of signals) each.addEventListener("abort", end);
    });
    if (this.ended) throw new Ended();
  }
}

function emptyCounts(): Record<FileState, number> {
  return Object.fromEntries(STATES.map((state) => [state, 0])) as Record<FileState, number>;
}

function refusalOf(error: ServiceError): Failure {
  if (error.code === "image_limit" || error.code === "plan_required") return { code: error.code };
  return { code: "refused", detail: error.detail };
}

function stamp(item: QueuedFile): string {
  return stampOf(item.path, item.file);
}

function isYoung(file: File): boolean {
  return Date.now() - file.lastModified < YOUNG;
}

function wait(tries: number): number {
  return Math.min(LONGEST_WAIT, 500 * 2 ** tries) * (0.75 + Math.random() / 2);
}

function ignore(): undefined {
  return undefined;
}

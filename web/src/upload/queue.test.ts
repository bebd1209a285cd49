import { createHash } from "node:crypto";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Digest } from "./digest";
import { sniff } from "./formats";
import { MemoryJournal } from "./journal";
import type { Put, PutResult } from "./put";
import { type QueuedFile, UploadQueue } from "./queue";
import { stateText } from "./texts";
import { type Draft, type Limits, type Registration, type Remote, type Service, ServiceError } from "./service";

const LIFETIME = 15 * 60_000;
const JPEG = [0xff, 0xd8, 0xff, 0xe0];

/** A service and its bucket, in memory. */
class Model implements Service {
  images_: (Remote & { size: number })[] = [];
  plan: Limits = { plan: "Basic", maxBytes: 50_000_000, maxImages: 100_000, images: 0, accepted: ["image/jpeg"] };
  batches: { key: string; drafts: Draft[] }[] = [];
  calls: Record<string, number> = {};
  /** Errors that the next calls meet, by call. */
  trouble: Record<string, unknown[]> = {};
  #answers = new Map<string, Registration[]>();
  /** Images that the service finds to be none. */
  rejects = new Set<string>();
  /** Milliseconds until an upload is processed. */
  processing = 500;
  expiresIn = LIFETIME;

  #enter(call: string): void {
    this.calls[call] = (this.calls[call] ?? 0) + 1;
    const trouble = this.trouble[call]?.shift();
    if (trouble) throw trouble;
  }

  limits(): Promise<Limits> {
    return this.#answer("limits", () => ({ ...this.plan }));
  }

  async #answer<T>(call: string, give: () => T): Promise<T> {
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.#enter(call);
    return give();
  }

  make(title: string, sha256: string, status: Remote["status"], size = 4): Remote & { size: number } {
    const id = `id${this.images_.length + 1}`;
    const image = { id, title, status, sha256, created_at: new Date().toISOString(), size };
    this.images_.unshift(image);
    return image;
  }

  register(drafts: Draft[], key: string): Promise<Registration[]> {
    return this.#answer("register", () => {
      const before = this.#answers.get(key);
      if (before) return before;
      this.batches.push({ key, drafts });
      const results = drafts.map((draft): Registration => {
        if (this.images_.some(({ title, status }) => title === draft.title && status !== "rejected")) {
          return { is: "refused", status: 409, code: "title_taken", detail: "Taken." };
        }
        const { id } = this.make(draft.title, draft.sha256, "pending", draft.size);
        return { is: "registered", id, grant: this.grant(id) };
      });
      this.#answers.set(key, results);
      const lost = this.trouble["registerAnswer"]?.shift();
      if (lost) throw lost;
      return results;
    });
  }

  grant(id: string): {
    upload: { method: string; url: string; headers: Record<string, string>; expires_at: string };
    until: number;
  } {
    const until = Date.now() + this.expiresIn;
    return { upload: { method: "PUT", url: `${id} ${until}`, headers: {}, expires_at: "" }, until };
  }

  renew(id: string): ReturnType<Service["renew"]> {
    return this.#answer("renew", () => {
      const image = this.images_.find((image) => image.id === id);
      if (!image) throw new ServiceError("refused", "not_found", "");
      if (image.status !== "pending") throw new ServiceError("refused", "not_pending", "");
      this.expiresIn = LIFETIME;
      return this.grant(id);
    });
  }

  image(id: string): Promise<Remote | null> {
    return this.#answer("image", () => this.images_.find((image) => image.id === id) ?? null);
  }

  images({ cursor, titlePrefix = "" }: { cursor?: string; titlePrefix?: string }): ReturnType<Service["images"]> {
    return this.#answer("images", () => {
      const from = Number(cursor ?? 0);
      const images = this.images_.filter((image) => image.title.startsWith(titlePrefix));
      const next = from + 100 < images.length ? String(from + 100) : null;
      return { images: images.slice(from, from + 100).map((image) => ({ ...image })), next };
    });
  }

  discard(ids: string[]): Promise<void> {
    return this.#answer("discard", () => {
      this.images_ = this.images_.filter((image) => !ids.includes(image.id));
    });
  }

  // ---- The bucket ----------------------------------------------------------------------------------

  puts = 0;
  atOnce = 0;
  mostAtOnce = 0;
  late = 0;
  results: PutResult[] = [];
  millisecondsPerPut = 50;

  put: Put = async (upload, file, onSent, signal) => {
    if (signal.aborted) return { is: "aborted" };
    const [id, until] = upload.url.split(" ");
    this.puts += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    if (Number(until) < Date.now()) this.late += 1;
    onSent(file.size / 2);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, this.millisecondsPerPut);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve(null);
      });
    });
    this.atOnce -= 1;
    if (signal.aborted) return { is: "aborted" };
    const result = this.results.shift();
    if (result) return result;
    const image = this.images_.find((image) => image.id === id);
    if (!image) return { is: "refused", status: 400, code: "NoSuchImage" };
    if (image.status !== "pending") return { is: "stored" };
    image.status = "processing";
    setTimeout(() => (image.status = this.rejects.has(image.title) ? "rejected" : "ready"), this.processing);
    return { is: "stored" };
  };
}

/** Hashing takes other threads, which a fake clock does not wait for: the digests are known beforehand. */
const digests = new WeakMap<File, Digest>();

function made(name: string, bytes: Uint8Array<ArrayBuffer>, lastModified = 1): File {
  const file = new File([bytes], name, { lastModified });
  const format = sniff(bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  digests.set(file, format?.name === "JPEG" ? { format, sha256 } : { format });
  return file;
}

function file(name: string, content = name, lastModified = 1): File {
  return made(name, new Uint8Array([...JPEG, ...new TextEncoder().encode(content)]), lastModified);
}

const contentOf = (file: File): string => digests.get(file)?.sha256 ?? "";

const part = (...files: File[]) => ({
  found: files.map((file) => ({ file, path: file.name })),
  skipped: 0,
  unreadable: [],
});
const numbered = (count: number): File[] => Array.from({ length: count }, (_, index) => file(`${index}.jpg`));

let model: Model;
let journal: MemoryJournal;
/** Files that were read. */
let read: number;

function start(): UploadQueue {
  const hash = async (file: File): Promise<Digest | null> => {
    read += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
    return digests.get(file) ?? null;
  };
  const accepted = ["image/jpeg"];
  return new UploadQueue({ service: model, journal, hash, put: model.put, accepted, onChange: () => undefined });
}

async function until(condition: () => boolean, seconds = 600): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("It did not happen.");
    await vi.advanceTimersByTimeAsync(20);
  }
}

const settled = (queue: UploadQueue) => () => queue.active === 0 && queue.counts.processing === 0;
const titled = (queue: UploadQueue, title: string): QueuedFile => {
  const item = queue.items.find((item) => item.title === title);
  if (!item) throw new Error(`There is no ${title}.`);
  return item;
};

beforeEach(() => {
  vi.useFakeTimers({ now: 1_900_000_000_000, toFake: ["setTimeout", "clearTimeout", "Date"] });
  read = 0;
  model = new Model();
  journal = new MemoryJournal();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("files that are uploaded", () => {
  test("become ready, four at a time, registered in batches that no URL outlives", async () => {
    const queue = start();
    queue.add(part(...numbered(120)), "private");
    await until(settled(queue));
    expect(queue.counts.ready).toBe(120);
    expect(model.mostAtOnce).toBe(4);
    expect(model.late).toBe(0);
    expect(Math.max(...model.batches.map(({ drafts }) => drafts.length))).toBeLessThanOrEqual(50);
    expect(model.batches.length).toBeLessThan(20);
    expect(model.batches[0]?.drafts[0]?.visibility).toBe("private");
    expect(queue.sentBytes).toBe(queue.totalBytes);
    // Few requests tell that all are ready.
    expect((model.calls["images"] ?? 0) + (model.calls["image"] ?? 0)).toBeLessThan(20);
  });

  test("are not registered long before they are sent, and an expired URL is renewed", async () => {
    model.millisecondsPerPut = 70_000;
    const queue = start();
    queue.add(part(...numbered(100)), "public");
    await until(settled(queue), 100_000);
    expect(queue.counts.ready).toBe(100);
    expect(model.late).toBe(0);
    expect(model.calls["renew"]).toBeGreaterThan(0);
  }, 30_000);

  test("show the bytes that were sent", async () => {
    model.millisecondsPerPut = 10_000;
    const queue = start();
    queue.add(part(file("a.jpg", "a".repeat(96))), "public");
    await until(() => queue.sentBytes > 0);
    expect([queue.sentBytes, queue.totalBytes]).toEqual([50, 100]);
    await until(settled(queue));
    expect(queue.sentBytes).toBe(100);
  });

  test("are sent again when the bucket is busy, waiting as long as it asks", async () => {
    model.results = [{ is: "retry", connection: false, after: 20_000 }];
    const queue = start();
    const began = Date.now();
    queue.add(part(file("a.jpg")), "public");
    await until(settled(queue));
    expect(queue.counts.ready).toBe(1);
    expect(Date.now() - began).toBeGreaterThan(20_000);
  });

  test("are told apart from files that are no images after all", async () => {
    model.rejects.add("1.jpg");
    const queue = start();
    queue.add(part(...numbered(3)), "public");
    await until(settled(queue));
    expect([queue.counts.ready, queue.counts.failed]).toEqual([2, 1]);
    expect(titled(queue, "1.jpg").failure?.code).toBe("rejected");
    model.rejects.clear();
    queue.retryFailed();
    await until(settled(queue));
    expect([queue.counts.ready, queue.counts.failed]).toEqual([3, 0]);
    expect(queue.sentBytes).toBe(queue.totalBytes);
  });
});

describe("files that are refused before they are read", () => {
  test("are of another format, empty, too large or badly named", async () => {
    model.plan.maxBytes = 100;
    const queue = start();
    const empty = new File([], "empty.jpg");
    queue.add(
      part(file("a.heic"), empty, file("big.jpg", "x".repeat(100)), file("two\nlines.jpg"), file("a.mp4")),
      "public",
    );
    await until(settled(queue));
    expect(queue.items.map((item) => item.failure?.code)).toEqual([
      "foreign_format",
      "empty",
      "too_large",
      "bad_title",
      "foreign_format",
    ]);
    expect(queue.items[0]?.failure?.format).toBe("HEIC");
    expect(model.calls["register"]).toBeUndefined();
  });

  test("are of a type that the service does not accept", async () => {
    model.plan.accepted = ["image/png"];
    const queue = start();
    queue.add(part(file("a.jpg")), "public");
    await until(settled(queue));
    expect(queue.items[0]?.failure).toEqual({ code: "foreign_format", format: "JPEG", accepted: ["image/png"] });
    expect(stateText(queue.items[0] as QueuedFile)).toBe("JPEG files are not supported. Use PNG.");
    expect(model.calls["register"]).toBeUndefined();
  });

  test("have no room in the plan", async () => {
    model.plan.maxImages = 7;
    model.plan.images = 4;
    const queue = start();
    queue.add(part(...numbered(10)), "public");
    await until(settled(queue));
    expect([queue.counts.ready, queue.counts.failed]).toEqual([3, 7]);
    expect(new Set(queue.items.map((item) => item.failure?.code))).toEqual(new Set([undefined, "image_limit"]));
  });

  test("cannot be uploaded without a plan", async () => {
    model.plan.plan = null;
    const queue = start();
    queue.add(part(file("a.jpg")), "public");
    await until(settled(queue));
    expect(queue.items[0]?.failure?.code).toBe("plan_required");
  });

  test("show by their first bytes that they are something else", async () => {
    const queue = start();
    const bytes = (text: string) => new TextEncoder().encode(text);
    queue.add(part(made("photo.jpg", bytes("\0\0\0\x18ftypheic")), made("text.jpg", bytes("hello"))), "public");
    await until(settled(queue));
    expect(queue.items.map((item) => item.failure?.code)).toEqual(["foreign_format", "not_an_image"]);
  });
});

describe("content that is there already", () => {
  test("is passed over after a reload, by what the file looks like or by its bytes", async () => {
    let queue = start();
    queue.add(part(...numbered(20)), "public");
    await until(settled(queue));
    queue.end();
    const before = model.puts;
    queue = start();
    queue.add(part(...numbered(20), file("renamed.jpg", "3.jpg", 99)), "public");
    await until(settled(queue));
    expect([queue.counts.present, queue.counts.ready, model.puts - before]).toEqual([21, 0, 0]);
    expect(titled(queue, "renamed.jpg").id).toBe(titled(queue, "3.jpg").id);
  });

  test("is found in the service's list when another program uploaded it", async () => {
    const image = model.make("elsewhere.jpg", contentOf(file("a.jpg")), "ready");
    const queue = start();
    queue.add(part(file("a.jpg")), "public");
    await until(settled(queue));
    expect(queue.items[0]).toMatchObject({ state: "present", id: image.id });
  });

  test("is uploaded again after it was deleted", async () => {
    let queue = start();
    queue.add(part(file("a.jpg")), "public");
    await until(settled(queue));
    queue.end();
    model.images_ = [];
    queue = start();
    queue.add(part(file("a.jpg")), "public");
    await until(settled(queue));
    expect(queue.counts.ready).toBe(1);
  });

  test("is uploaded again after it was deleted elsewhere, on a page that was open all the while", async () => {
    const elsewhere = model.make("b.jpg", contentOf(file("b.jpg")), "ready");
    const queue = start();
    queue.add(part(file("a.jpg"), file("b.jpg")), "public");
    await until(settled(queue));
    expect([queue.counts.ready, queue.counts.present]).toEqual([1, 1]);
    model.images_ = model.images_.filter(({ id }) => id !== elsewhere.id);
    queue.add(part(file("a.jpg"), file("b.jpg")), "public");
    await until(settled(queue));
    expect([queue.counts.ready, queue.counts.present]).toEqual([2, 2]);
    model.images_ = [];
    queue.add(part(file("a.jpg"), file("b.jpg")), "public");
    await until(settled(queue));
    expect([queue.counts.ready, queue.counts.present]).toEqual([4, 2]);
  });

  test("goes on where a closed page left it", async () => {
    model.make("a.jpg", contentOf(file("a.jpg")), "pending");
    const queue = start();
    queue.add(part(file("a.jpg")), "public");
    await until(settled(queue));
    expect([queue.counts.ready, model.images_.length, model.calls["register"]]).toEqual([1, 1, undefined]);
  });

  test("is uploaded once when it is dropped twice, and by the second file if the first fails", async () => {
    const queue = start();
    model.results = [{ is: "changed" }];
    queue.add(part(file("a.jpg", "same"), file("b.jpg", "same")), "public");
    await until(() => queue.counts.failed === 1);
    await until(settled(queue));
    expect(queue.items.map((item) => item.state)).toEqual(["failed", "ready"]);
    queue.retry(titled(queue, "a.jpg"));
    await until(settled(queue));
    expect(queue.items.map((item) => item.state)).toEqual(["present", "ready"]);
  });
});

describe("a title that is taken", () => {
  test("offers another one", async () => {
    model.make("a.jpg", "other", "ready");
    const queue = start();
    queue.add(part(file("a.jpg")), "public");
    await until(settled(queue));
    expect(queue.items[0]?.failure).toEqual({ code: "title_taken", otherTitle: "a (2).jpg" });
    expect(queue.items[0]?.id).toBe("id1");
    queue.retryFailed(true);
    await until(settled(queue));
    expect(queue.items[0]).toMatchObject({ state: "ready", title: "a (2).jpg" });
  });

  test("of two files of one drop goes to the first", async () => {
    const queue = start();
    queue.add(part(file("a.jpg", "one"), file("a.jpg", "two")), "public");
    await until(settled(queue));
    expect(queue.items.map((item) => item.state)).toEqual(["ready", "failed"]);
  });
});

describe("trouble", () => {
  const lost = new ServiceError("connection", "", "");

  test("a registration whose answer is lost is repeated with its key", async () => {
    model.trouble["registerAnswer"] = [lost];
    const queue = start();
    queue.add(part(...numbered(3)), "public");
    await until(settled(queue));
    expect([queue.counts.ready, model.images_.length]).toEqual([3, 3]);
    expect(model.calls["register"]).toBeGreaterThan(model.batches.length);
  });

  test("429 and 503 wait as told and lose nothing", async () => {
    const busy = new ServiceError("busy", "busy", "", 40_000);
    model.trouble = { register: [busy], images: [busy] };
    const queue = start();
    queue.add(part(...numbered(3)), "public");
    await until(() => queue.pause?.is === "busy");
    expect((queue.pause?.until ?? 0) - Date.now()).toBeGreaterThan(39_000);
    await until(settled(queue));
    expect([queue.counts.ready, queue.counts.failed, queue.pause]).toEqual([3, 0, null]);
  });

  test("offline waits as long as it takes and goes on", async () => {
    model.millisecondsPerPut = 1000;
    const queue = start();
    queue.add(part(...numbered(6)), "public");
    await until(() => queue.counts.uploading === 4);
    queue.setOnline(false);
    model.results = Array.from({ length: 4 }, () => ({ is: "retry", connection: true }));
    await until(() => model.results.length === 0);
    const before = model.puts;
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(model.puts).toBe(before);
    queue.setOnline(true);
    await until(settled(queue));
    expect(queue.counts.ready).toBe(6);
  });

  test("a connection that is lost without notice is waited for", async () => {
    const queue = start();
    model.results = Array.from({ length: 3 }, () => ({ is: "retry", connection: true }));
    model.trouble["limits"] = [null, ...Array.from({ length: 30 }, () => lost)];
    queue.add(part(file("a.jpg")), "public");
    await until(settled(queue), 3600);
    expect(queue.counts.ready).toBe(1);
  });

  test("an expired session keeps the queue until its user is back", async () => {
    model.trouble["register"] = [new ServiceError("session", "", "")];
    const queue = start();
    queue.add(part(...numbered(5)), "public");
    await until(() => queue.pause?.is === "login");
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect([queue.active, model.calls["register"]]).toEqual([5, 1]);
    queue.resume();
    await until(settled(queue));
    expect(queue.counts.ready).toBe(5);
  });

  test("the end of the session ends all requests", async () => {
    model.millisecondsPerPut = 10_000;
    const queue = start();
    queue.add(part(...numbered(30)), "public");
    await until(() => queue.counts.uploading === 4);
    queue.end();
    const before = { ...model.calls };
    const puts = model.puts;
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect([model.calls, model.puts, queue.items.length, model.atOnce]).toEqual([before, puts, 0, 0]);
  });

  test("an upload that the service gave up meanwhile is registered anew", async () => {
    model.expiresIn = 0;
    const queue = start();
    queue.add(part(file("a.jpg")), "public");
    await until(() => queue.counts.registered + queue.counts.uploading === 1);
    model.images_ = [];
    await until(settled(queue));
    expect([queue.counts.ready, model.images_.length]).toEqual([1, 1]);
  });
});

describe("cancelling", () => {
  test("one file ends its request, frees its title and leaves the others", async () => {
    model.millisecondsPerPut = 10_000;
    const queue = start();
    queue.add(part(...numbered(8)), "public");
    await until(() => queue.counts.uploading === 4);
    const item = queue.items.find(({ state }) => state === "uploading");
    if (item) queue.cancel(item);
    await until(settled(queue));
    expect([queue.counts.ready, queue.counts.cancelled, model.images_.length]).toEqual([7, 1, 7]);
    if (item) queue.retry(item);
    await until(settled(queue));
    expect([queue.counts.ready, queue.counts.cancelled]).toEqual([8, 0]);
  });

  test("all files leaves nothing behind", async () => {
    model.millisecondsPerPut = 10_000;
    const queue = start();
    queue.add(part(...numbered(150)), "public");
    await until(() => queue.counts.uploading === 4);
    queue.cancelAll();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([queue.active, queue.counts.cancelled, model.images_.length]).toEqual([0, 150, 0]);
    expect(queue.totalBytes).toBe(0);
  });
});

test("adding 20,000 files reads none before its turn and keeps few in flight", async () => {
  model.millisecondsPerPut = 1000;
  const files = numbered(20_000);
  const queue = start();
  const began = performance.now();
  for (let at = 0; at < files.length; at += 500) queue.add(part(...files.slice(at, at + 500)), "public");
  expect(performance.now() - began).toBeLessThan(1000);
  expect(read).toBe(0);
  await until(() => queue.counts.ready > 20);
  expect(read).toBeLessThan(300);
  expect(queue.counts.registered + queue.counts.hashed + queue.counts.registering).toBeLessThan(150);
  queue.end();
});

import { createHash, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Image, Schemas, Upload } from "../src/lib/http";
import { PICTURES } from "./setup";

export const PASSWORD = "Quiet-Harbour-42";
export const API = variable("TINTYPE_URL");
/** Where the buckets are. */
export const BUCKETS = new URL(variable("AWS_ENDPOINT_URL")).origin;

const PATIENCE = 60_000;
/** Between the first two questions, in milliseconds; each pause is a third longer than the last. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 500;
/** Of a request that a busy service refuses. */
const MAX_TRIES = 5;

export function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: these tests need a running stack.`);
  return value;
}

/** Asks until there is an answer. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + PATIENCE;
  for (let pause = FIRST_PAUSE; Date.now() < deadline; pause = Math.min((pause * 4) / 3, LONGEST_PAUSE)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  throw new Error(`Waited in vain for ${what}.`);
}

export interface Call {
  method?: string;
  body?: unknown;
  token?: string;
}

export async function call<T>(path: string, { method, body, token }: Call = {}): Promise<T> {
  for (let tries = 1; ; tries++) {
    const response = await fetch(API + path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (response.ok) return (text ? JSON.parse(text) : undefined) as T;
    if (response.status !== 503 || tries >= MAX_TRIES) throw new Error(`${path} answered ${response.status}: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("retry-after") ?? 1)));
  }
}

interface Mail {
  To: string[];
  BodyText: string;
  Timestamp: string;
}

/** The code in the latest mail to an address, once it has come. `after` passes over that many mails. */
export function mailedCode(email: string, after = 0): Promise<string> {
  return eventually(`a mail to ${email}`, async () => {
    const response = await fetch(variable("TINTYPE_MAILS_URL"));
    const { messages } = (await response.json()) as { messages: Record<string, Mail[]> };
    const mails = Object.values(messages)
      .flat()
      .filter(({ To }) => To.includes(email))
      .sort((a, b) => String(a.Timestamp).localeCompare(String(b.Timestamp)));
    return mails.length > after ? /\b\d{6}\b/.exec(mails.at(-1)?.BodyText ?? "")?.[0] : undefined;
  });
}

/** Calls an AWS service of the emulator. */
export async function aws(service: string, action: string, body: unknown): Promise<void> {
  const response = await fetch(variable("AWS_ENDPOINT_URL"), {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": action,
      authorization: `AWS4-HMAC-SHA256 Credential=test/20300101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${action} answered ${response.status}: ${await response.text()}`);
}

/** Someone who signed up by the API, on the plan that new users get. */
export class TestUser {
  private constructor(
    readonly id: string,
    readonly email: string,
    readonly name: string,
    public token: string,
  ) {}

  static async create({ plan, admin }: { plan?: string; admin?: boolean } = {}): Promise<TestUser> {
    const name = "Ada Byron";
    const email = `ada-${randomUUID()}@example.com`;
    const { user_id } = await call<Schemas["SignedUp"]>("/api/auth/signup", {
      body: { email, password: PASSWORD, name },
    });
    await call("/api/auth/confirm", { body: { email, code: await mailedCode(email) } });
    if (admin) {
      await aws("cognito-idp", "AWSCognitoIdentityProviderService.AdminAddUserToGroup", {
        UserPoolId: variable("TINTYPE_USER_POOL_ID"),
        Username: email,
        GroupName: "admins",
      });
    }
    const user = new TestUser(user_id, email, name, await logIn(email));
    if (plan) await TestUser.assign(user_id, plan, admin ? user.token : undefined);
    return user;
  }

  /** Puts a user on a plan, by an admin's token. */
  static async assign(id: string, plan: string, token?: string): Promise<void> {
    await call(`/api/users/${id}/plan`, { method: "PUT", body: { plan }, token: token ?? (await anAdmin()).token });
  }

  call<T>(path: string, options: Omit<Call, "token"> = {}): Promise<T> {
    return call<T>(path, { ...options, token: this.token });
  }

  /** Uploads a file, without its last `missing` bytes, and waits until the image is ready. */
  async upload(
    file: string,
    item: { title?: string; visibility?: "public" | "private"; missing?: number } = {},
  ): Promise<Image> {
    const whole = await readFile(PICTURES + file);
    const bytes = whole.subarray(0, whole.length - (item.missing ?? 0));
    const { image, upload } = await this.call<{ image: Image; upload: Upload }>("/api/images", {
      body: {
        title: item.title ?? `${file} ${randomUUID()}`,
        visibility: item.visibility ?? "public",
        content_type: "image/jpeg",
        size: bytes.length,
        sha256: createHash("sha256").update(bytes).digest("hex"),
      },
    });
    const response = await fetch(upload.url, { method: "PUT", headers: upload.headers, body: bytes });
    if (!response.ok) throw new Error(`The upload answered ${response.status}: ${await response.text()}`);
    return eventually(`${image.title} to be ready`, async () => {
      const now = await this.call<Image>(`/api/images/${image.id}`);
      if (now.status === "rejected") throw new Error(`${now.title} was rejected: ${now.reject_reason}`);
      return now.status === "ready" ? now : undefined;
    });
  }
}

async function logIn(email: string): Promise<string> {
  return (await call<Schemas["Tokens"]>("/api/auth/login", { body: { email, password: PASSWORD } })).access_token;
}

/** Returns Cognito's id of the user that an access token belongs to. */
export function subjectOf(token: string): string {
  return (JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { sub: string }).sub;
}

let admin: Promise<TestUser> | undefined;

/** The admin of this worker's own set-up. */
export function anAdmin(): Promise<TestUser> {
  admin ??= TestUser.create({ admin: true });
  return admin;
}

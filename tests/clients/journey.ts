// Signs up, uploads an image and makes a link, through the generated TypeScript client alone.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { paths } from "./generated/api.d.ts";

const { TINTYPE_URL: url, TINTYPE_MAILS_URL: mails, PHOTO, PASSWORD: password, ADMIN_TOKEN: adminToken } = process.env;
assert(url && mails && PHOTO && password && adminToken);

interface Mail {
  To: string[];
  BodyText: string;
}

async function eventually<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + 90_000; Date.now() < deadline; await setTimeout(100)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
  throw new Error(`waited in vain for ${what}`);
}

async function mailedCode(email: string): Promise<string> {
  const { messages } = (await (await fetch(mails!)).json()) as { messages: Record<string, Mail[]> };
  const mail = Object.values(messages)
    .flat()
    .find((mail) => mail.To.includes(email));
  const code = mail?.BodyText.match(/\b\d{6}\b/)?.[0];
  return code ?? eventually("the mail", async () => mailedCode(email));
}

const client = (token?: string) =>
  createClient<paths>({ baseUrl: url, headers: token ? { authorization: `Bearer ${token}` } : {} });

const email = `typescript-${crypto.randomUUID()}@example.org`;
const anyone = client();
const signedUp = await anyone.POST("/api/auth/signup", { body: { email, password, name: "Grace" } });
assert(signedUp.data);
const invalid = await anyone.POST("/api/auth/signup", { body: { email, password: "short", name: "" } });
assert(invalid.error && "code" in invalid.error && invalid.error.code === "invalid");
const confirmed = await anyone.POST("/api/auth/confirm", { body: { email, code: await mailedCode(email) } });
assert.equal(confirmed.response.status, 204);

const refused = await anyone.POST("/api/auth/login", { body: { email, password: "Wrong-Harbour-1" } });
assert(refused.error && "code" in refused.error && refused.error.code === "bad_credentials");
const stranger = await client("nonsense").GET("/api/me");
assert(stranger.error && "message" in stranger.error);

const session = await anyone.POST("/api/auth/login", { body: { email, password } });
assert(session.data);
const user = client(session.data.access_token);
const assigned = await client(adminToken).PUT("/api/users/{id}/plan", {
  params: { path: { id: signedUp.data.user_id } },
  body: { plan: "Enterprise" },
});
assert(assigned.data?.job.id);

const photo = await readFile(PHOTO);
const draft = { title: "Harbour", content_type: "image/png" as const, size: photo.length };
const created = await user.POST("/api/images", { body: draft });
assert(created.data);
const { upload } = created.data;
const uploaded = await fetch(upload.url, { method: upload.method, headers: upload.headers, body: photo });
assert.equal(uploaded.status, 200);
const image = await eventually("the image to be ready", async () => {
  const { data } = await user.GET("/api/images/{id}", { params: { path: { id: created.data.image.id } } });
  return data?.status === "ready" ? data : undefined;
});
assert.deepEqual([image.width, image.height], [640, 480]);
const images = await user.GET("/api/images", { params: { query: { limit: 1 } } });
assert.equal(images.data?.results[0]?.id, image.id);

const link = await user.POST("/api/expiring-links", { body: { base_image: image.id, expiry_in_seconds: 300 } });
assert(link.data);
const original = await fetch(link.data.link_url);
assert(photo.equals(Buffer.from(await original.arrayBuffer())));
const read = await user.GET("/api/expiring-links/{id}", { params: { path: { id: link.data.id } } });
assert.equal(read.data?.downloads, 1);
const replaced = await user.PUT("/api/expiring-links/{id}", { params: { path: { id: link.data.id } }, body: read.data });
assert.equal(replaced.data?.link_url, link.data.link_url);
assert.equal((await user.POST("/api/auth/logout")).response.status, 204);

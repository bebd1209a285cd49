/** The upload queue's calls to the service, as the current user. */

import { serviceTime } from "../lib/clock";
import { type ApiError, impatientApi, toApiError, type Upload } from "../lib/api";
import { retryAfter } from "./put";
import { type Grant, type Remote, type Service, ServiceError } from "./service";

interface ServiceAnswer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Gives an answer's data, or says what the queue should make of its refusal. */
async function ask<T>(request: Promise<ServiceAnswer<T>>): Promise<NonNullable<T>> {
  let answer: ServiceAnswer<T>;
  try {
    answer = await request;
  } catch (error) {
    throw isApiError(error) ? toServiceError(error) : error;
  }
  const { data, error, response } = answer;
  if (!response.ok) throw toServiceError(toApiError(response, error), retryAfter(response.headers.get("retry-after")));
  return data as NonNullable<T>;
}

function isApiError(error: unknown): error is ApiError {
  return error instanceof Error && error.name === "ApiError";
}

function toServiceError({ status, code, message }: ApiError, after?: number): ServiceError {
  if (status === 0) return new ServiceError("connection", code, message);
  if (status === 401) return new ServiceError("session", code, message);
  if (status === 500) return new ServiceError("busy", "internal", message, after);
  // Another try of the same batch is still being answered.
  if (status === 429 || status > 500 || code === "in_progress") return new ServiceError("busy", code, message, after);
  return new ServiceError("refused", code, message);
}

/** Upload URLs expire by the service's clock, which may differ from this machine's. */
function grantOf(upload: Upload): Grant {
  return { upload, until: Date.now() + Date.parse(upload.expires_at) - serviceTime() };
}

const LIST_LIMIT = 100;

export const service: Service = {
  async limits(signal) {
    const [me, plans] = await Promise.all([
      ask(impatientApi.GET("/api/me", { signal })),
      ask(impatientApi.GET("/api/plans", { signal })),
    ]);
    const plan = plans.results.find(({ name }) => name === me.plan);
    return {
      plan: me.plan,
      maxBytes: plan?.max_image_bytes ?? Infinity,
      maxImages: plan?.max_images ?? Infinity,
      accepted: plans.content_types,
      images: me.usage.images,
    };
  },

  async register(drafts, key, signal) {
    const data = await ask(
      impatientApi.POST("/api/images/batch", {
        params: { header: { "Idempotency-Key": key } },
        body: { images: drafts },
        signal,
      }),
    );
    return data.results.map(({ id, upload, status, error }) =>
      id && upload
        ? { is: "registered", id, grant: grantOf(upload) }
        : { is: "refused", status, code: error?.code ?? "", detail: sentence(error) },
    );
  },

  async renew(id, signal) {
    const data = await ask(impatientApi.POST("/api/images/{id}/upload", { params: { path: { id } }, signal }));
    return grantOf(data.upload);
  },

  async image(id, signal) {
    try {
      return (await ask(impatientApi.GET("/api/images/{id}", { params: { path: { id } }, signal }))) as Remote;
    } catch (error) {
      if (error instanceof ServiceError && error.code === "not_found") return null;
      throw error;
    }
  },

  async images({ cursor, titlePrefix }, signal) {
    const query = {
      limit: LIST_LIMIT,
      ...(cursor ? { cursor } : {}),
      ...(titlePrefix ? { title_prefix: titlePrefix } : {}),
    };
    const data = await ask(impatientApi.GET("/api/images", { params: { query }, signal }));
    return { images: data.results as Remote[], next: data.next_cursor ?? null };
  },

  async discard(ids, signal) {
    for (let at = 0; at < ids.length; at += 1000) {
      await ask(impatientApi.POST("/api/images/delete", { body: { ids: ids.slice(at, at + 1000) }, signal }));
    }
  },
};

interface Problem {
  detail?: string;
  errors?: { message: string }[];
}

/** The message of the first invalid field says more than that there is one. */
function sentence(problem: Problem | null | undefined): string {
  return problem?.errors?.[0]?.message ?? problem?.detail ?? "";
}

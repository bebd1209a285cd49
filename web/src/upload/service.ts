/** The calls that the upload queue makes to the service. */

import type { ImageStatus, Schemas, Upload, Visibility } from "../lib/http";

export type ContentType = Schemas["CreateImage"]["content_type"];

export interface Draft {
  title: string;
  visibility: Visibility;
  content_type: ContentType;
  size: number;
  sha256: string;
}

/** An upload, and the time by this machine's clock until which it may be started. */
export interface Grant {
  upload: Upload;
  until: number;
}

export interface Remote {
  id: string;
  title: string;
  status: ImageStatus;
  sha256: string | null;
  created_at: string;
  reject_reason?: string | null;
}

export type Registration =
  { is: "registered"; id: string; grant: Grant } | { is: "refused"; status: number; code: string; detail: string };

export interface Limits {
  /** Null: the account has no plan and cannot upload. */
  plan: string | null;
  maxBytes: number;
  maxImages: number;
  /** Ready images. */
  images: number;
  /** Content types. */
  accepted: readonly string[];
}

export interface Service {
  limits(signal: AbortSignal): Promise<Limits>;
  register(drafts: Draft[], key: string, signal: AbortSignal): Promise<Registration[]>;
  renew(id: string, signal: AbortSignal): Promise<Grant>;
  /** Gives null when there is no such image. */
  image(id: string, signal: AbortSignal): Promise<Remote | null>;
  /** The user's images, newest first. */
  images(
    query: { cursor?: string; titlePrefix?: string },
    signal: AbortSignal,
  ): Promise<{ images: Remote[]; next: string | null }>;
  discard(ids: string[], signal: AbortSignal): Promise<void>;
}

/** Why a call gave no result. */
export class ServiceError extends Error {
  constructor(
    readonly is: "connection" | "busy" | "session" | "refused",
    readonly code: string,
    readonly detail: string,
    /** Milliseconds that the service asks to wait. */
    readonly after?: number,
  ) {
    super(detail);
  }
}

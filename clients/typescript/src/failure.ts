import type { Metadata, ServiceError, status } from "@grpc/grpc-js";

import { BadRequest, ErrorInfo, RetryInfo } from "./generated/google/rpc/error_details.js";
import { Status } from "./generated/google/rpc/status.js";
import type { Attempt } from "./generated/majordomo/v1/attempt.js";
import { CallFailure } from "./generated/majordomo/v1/errors.js";

/** Whose reasons are read here: google.rpc.ErrorInfo.domain. */
const DOMAIN = "majordomo-grpc.github.io";

/** A call that failed, and what the server told of it. */
export class MajordomoError extends Error {
  override readonly name = "MajordomoError";
  /** gRPC's code. */
  readonly code: status;
  /**
   * The name of a majordomo.v1.ErrorReason without its prefix. Empty where majordomo
   * did not send the error: nobody there, cut off, cancelled or out of time on this side.
   */
  readonly reason: string;
  /** What else belongs to the reason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The call's id, also on the server's spans and in its log. */
  readonly generationId: string;
  /** What was tried and skipped, in order. */
  readonly attempts: readonly Attempt[];
  /** How many were left out of the middle of `attempts`. */
  readonly omittedAttempts: number;
  /** Seconds after which another try is worth it, where the server knows. */
  readonly retryDelay: number | undefined;
  /** The fields of the request that break a rule. */
  readonly violations: BadRequest["fieldViolations"];

  constructor(error: ServiceError) {
    super(error.details, { cause: error });
    const details = detailsOf(error.metadata);
    const told = find(details, "google.rpc.ErrorInfo", ErrorInfo);
    const info = told?.domain === DOMAIN ? told : undefined;
    const failure = find(details, "majordomo.v1.CallFailure", CallFailure);
    const delay = find(details, "google.rpc.RetryInfo", RetryInfo)?.retryDelay;
    this.code = error.code;
    this.reason = info?.reason ?? "";
    this.metadata = info?.metadata ?? {};
    this.generationId = info?.metadata.generation_id ?? "";
    this.attempts = failure?.attempts ?? [];
    this.omittedAttempts = failure?.omittedAttempts ?? 0;
    this.retryDelay = delay && Number(delay.seconds) + delay.nanos / 1e9;
    this.violations =
      find(details, "google.rpc.BadRequest", BadRequest)?.fieldViolations ?? [];
  }
}

/** The error of a call as ours; what is no error of a call stays as it is. */
export function unpacked(error: unknown): unknown {
  return isServiceError(error) ? new MajordomoError(error) : error;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "details" in error && "metadata" in error;
}

function detailsOf(trailers: Metadata): Status["details"] {
  const [packed] = trailers.get("grpc-status-details-bin");
  return Buffer.isBuffer(packed) ? Status.decode(packed).details : [];
}

function find<T>(
  details: Status["details"],
  name: string,
  type: { decode(data: Uint8Array): T },
): T | undefined {
  const detail = details.find(({ typeUrl }) => typeUrl.endsWith(`/${name}`));
  return detail && type.decode(detail.value);
}

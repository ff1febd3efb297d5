import {
  credentials,
  Metadata,
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
} from "@grpc/grpc-js";

import { unpacked } from "./failure.js";
import {
  GenerateRequest,
  GenerationServiceClient,
  StreamRequest,
  type DeepPartial,
  type GenerateResponse,
  type StreamResponse,
} from "./generated/majordomo/v1/generation_service.js";

const MESSAGE_LIMIT = 32 << 20;

/**
 * A call is tried again where its server could not take it. Where a chain has failed the
 * server's pushback forbids it, and a stream that has begun is never begun again.
 */
const SERVICE_CONFIG = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [
        { service: "majordomo.v1.GenerationService" },
        { service: "majordomo.v1.OperatorService", method: "HealthSnapshot" },
      ],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: "0.2s",
        maxBackoff: "2s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.service_config": JSON.stringify(SERVICE_CONFIG),
  "grpc.max_send_message_length": MESSAGE_LIMIT,
  "grpc.max_receive_message_length": MESSAGE_LIMIT,
  // A request over this is not tried again; the default is less than images.
  "grpc.per_rpc_retry_buffer_size": MESSAGE_LIMIT,
  "grpc.retry_buffer_size": 8 * MESSAGE_LIMIT,
  // A server that vanished is noticed through the silence of a model that reasons.
  "grpc.keepalive_time_ms": 30_000,
};

/** How one call is made. */
export interface CallSettings {
  /** Seconds for the whole call; the server is told. */
  timeout?: number;
  /** Ends the call when it aborts; the server stops at once. */
  signal?: AbortSignal;
  /** The trace that the call is part of, as W3C's header. */
  traceparent?: string;
}

/** TLS, and with each call a token. `ca` are the trusted certificates, else the system's. */
export function bearer(token: string, ca?: Buffer): ChannelCredentials {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return credentials.combineChannelCredentials(
    credentials.createSsl(ca),
    credentials.createFromMetadataGenerator((_, give) => {
      give(null, metadata);
    }),
  );
}

/** Calls the server at one address. All of its calls throw MajordomoError. */
export class Majordomo {
  readonly #stub: GenerationServiceClient;

  /** In plain text unless there are credentials; the options win over our own. */
  constructor(
    address: string,
    secured: ChannelCredentials = credentials.createInsecure(),
    options: ChannelOptions = {},
  ) {
    const chosen = { ...CHANNEL_OPTIONS, ...options };
    this.#stub = new GenerationServiceClient(address, secured, chosen);
  }

  /** Walk the chain until a target answers; the whole answer. */
  async generate(
    request: DeepPartial<GenerateRequest>,
    settings: CallSettings = {},
  ): Promise<GenerateResponse> {
    settings.signal?.throwIfAborted();
    const { promise, resolve, reject } = deferred<GenerateResponse>();
    const call = this.#stub.generate(
      GenerateRequest.create(request),
      metadataOf(settings),
      optionsOf(settings),
      (error, response) => {
        if (error) reject(unpacked(error));
        else resolve(response);
      },
    );
    const cancel = (): void => {
      call.cancel();
    };
    settings.signal?.addEventListener("abort", cancel);
    return promise.finally(() => {
      settings.signal?.removeEventListener("abort", cancel);
    });
  }

  /**
   * Walk the chain, and have the answer's events as they come. The call is cancelled
   * where the loop over them is left.
   */
  async *stream(
    request: DeepPartial<StreamRequest>,
    settings: CallSettings = {},
  ): AsyncGenerator<StreamResponse, void, undefined> {
    settings.signal?.throwIfAborted();
    const call = this.#stub.stream(
      StreamRequest.create(request),
      metadataOf(settings),
      optionsOf(settings),
    );
    const cancel = (): void => {
      call.cancel();
    };
    settings.signal?.addEventListener("abort", cancel);
    try {
      yield* call as AsyncIterable<StreamResponse>;
    } catch (error) {
      throw unpacked(error);
    } finally {
      settings.signal?.removeEventListener("abort", cancel);
      call.cancel();
    }
  }

  /** Let go of the connections. */
  close(): void {
    this.#stub.close();
  }
}

function metadataOf({ traceparent }: CallSettings): Metadata {
  const metadata = new Metadata();
  if (traceparent !== undefined) metadata.set("traceparent", traceparent);
  return metadata;
}

function optionsOf({ timeout }: CallSettings): Partial<CallOptions> {
  return timeout === undefined ? {} : { deadline: Date.now() + timeout * 1000 };
}

/** Promise.withResolvers, which Node 20 has not. */
function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (reason: unknown) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  return { promise, resolve, reject };
}

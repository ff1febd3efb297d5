//! The client.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue, errors::InvalidMetadataValue},
    transport::{Channel, ClientTlsConfig, Endpoint, Error as TransportError},
};

use crate::{
    Answer, Error, RetryPolicy,
    v1::{
        GenerateRequest, GenerateResponse, StreamRequest,
        generation_service_client::GenerationServiceClient,
    },
};

/// Images make messages larger than gRPC's 4 MiB; this is as large as the server's limit.
const MESSAGE_LIMIT: usize = 32 << 20;

/// A server that has vanished is noticed through the long silence of a model that reasons.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Of one call.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// How long the call may take, its retries included; the server is told, and limits
    /// the chain to it. `None`: up to the server.
    pub timeout: Option<Duration>,
    /// The W3C trace context that the call's spans belong to.
    pub traceparent: Option<String>,
}

/// Calls a majordomo. To clone it is cheap: clones share its connection.
#[derive(Clone, Debug)]
pub struct Client {
    generation: GenerationServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
    /// When a call is tried again.
    pub retries: RetryPolicy,
}

/// An address, `http://host:port` or `https://host:port`, with the settings that calls of
/// models need. To be changed further, then given to [`Client::new`].
///
/// # Errors
///
/// `uri` is none.
pub fn endpoint(uri: impl Into<String>) -> Result<Endpoint, TransportError> {
    let uri = uri.into();
    let secure = uri.starts_with("https:");
    let endpoint = Endpoint::from_shared(uri)?
        .connect_timeout(Duration::from_secs(10))
        .http2_keep_alive_interval(KEEPALIVE);
    if secure {
        endpoint.tls_config(ClientTlsConfig::new().with_native_roots())
    } else {
        Ok(endpoint)
    }
}

impl Client {
    /// A client of the majordomo at `uri`: `http://host:port`, or `https://host:port` for
    /// TLS by the authorities that this machine trusts. It connects with the first call, and
    /// again whenever the connection is lost.
    ///
    /// # Errors
    ///
    /// `uri` is none.
    ///
    /// # Panics
    ///
    /// No runtime of tokio runs.
    pub fn connect(uri: impl Into<String>) -> Result<Self, TransportError> {
        Ok(Self::new(endpoint(uri)?.connect_lazy()))
    }

    /// A client that calls through `channel`, made from an [`endpoint`].
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            generation: GenerationServiceClient::new(channel)
                .max_encoding_message_size(MESSAGE_LIMIT)
                .max_decoding_message_size(MESSAGE_LIMIT),
            authorization: None,
            retries: RetryPolicy::default(),
        }
    }

    /// The same, showing `token` with every call.
    ///
    /// # Errors
    ///
    /// `token` has letters that a header cannot have.
    pub fn with_token(mut self, token: &str) -> Result<Self, InvalidMetadataValue> {
        let mut authorization: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
        authorization.set_sensitive(true);
        self.authorization = Some(authorization);
        Ok(self)
    }

    /// Walk the chain until a target answers; the whole answer.
    ///
    /// # Errors
    ///
    /// Nobody answered, or the call was refused: [`Error::reason`] says which.
    pub async fn generate(
        &self,
        request: GenerateRequest,
        options: &CallOptions,
    ) -> Result<GenerateResponse, Error> {
        let deadline = deadline(options);
        let call = self.retries.run(async || {
            let request = self.request(request.clone(), options, deadline)?;
            self.generation.clone().generate(request).await
        });
        Ok(by(deadline, call).await?.into_inner())
    }

    /// Walk the chain, and have the answer as it is written.
    ///
    /// Returns when its first piece is there: until then calls are tried again as those of
    /// [`Client::generate`]; a stream that has begun is never begun again.
    ///
    /// # Errors
    ///
    /// As [`Client::generate`].
    pub async fn stream(
        &self,
        request: StreamRequest,
        options: &CallOptions,
    ) -> Result<Answer, Error> {
        let deadline = deadline(options);
        let call = self.retries.run(async || {
            let request = self.request(request.clone(), options, deadline)?;
            self.generation.clone().stream(request).await
        });
        let events = by(deadline, call).await?.into_inner();
        Ok(Answer::new(events, deadline))
    }

    /// One try's request: its message, and what goes beside it.
    fn request<M>(
        &self,
        message: M,
        options: &CallOptions,
        deadline: Option<Instant>,
    ) -> Result<Request<M>, Status> {
        let mut request = Request::new(message);
        if let Some(deadline) = deadline {
            request.set_timeout(deadline - Instant::now());
        }
        if let Some(traceparent) = &options.traceparent {
            let value = traceparent
                .parse()
                .map_err(|_| Status::invalid_argument("traceparent: not a header's value"))?;
            request.metadata_mut().insert("traceparent", value);
        }
        if let Some(authorization) = &self.authorization {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.clone());
        }
        Ok(request)
    }
}

fn deadline(options: &CallOptions) -> Option<Instant> {
    options.timeout.map(|timeout| Instant::now() + timeout)
}

/// `call`, ended at `deadline`. The server ends it a little earlier, and says what it tried.
pub(crate) async fn by<T>(
    deadline: Option<Instant>,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match deadline {
        Some(deadline) => timeout_at(deadline, call)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the time is up"))),
        None => call.await,
    }
}

//! Why there is no answer: a status with its details unpacked.

use std::{error, fmt, time::Duration};

use prost::Message;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::pb::{self, BadRequest, ErrorInfo, RetryInfo, bad_request::FieldViolation};

use crate::v1::{Attempt, CallFailure, ErrorReason};

const DOMAIN: &str = "majordomo-grpc.github.io";

/// A call that failed.
#[derive(Clone, Debug)]
pub struct Error {
    /// The status that the call ended with.
    pub code: Code,
    /// What happened, in a line.
    pub message: String,
    /// Why, in majordomo's terms. Unspecified: not a word of majordomo's, but of
    /// something on the way to it, such as `UNAVAILABLE` where nobody listens.
    pub reason: ErrorReason,
    /// The call's id, also on its spans and logs; empty where no chain was walked.
    pub generation_id: String,
    /// What was tried and skipped, in order.
    pub attempts: Vec<Attempt>,
    /// Attempts that were left out of the list.
    pub omitted_attempts: i32,
    /// When another try is worth it.
    pub retry_delay: Option<Duration>,
    /// Rules of the contract that the request broke.
    pub violations: Vec<FieldViolation>,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            ErrorReason::Unspecified => write!(formatter, "{:?}", self.code)?,
            reason => {
                let name = reason.as_str_name();
                formatter.write_str(name.strip_prefix("ERROR_REASON_").unwrap_or(name))?;
            }
        }
        write!(formatter, ": {}", self.message)
    }
}

impl error::Error for Error {}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = Details::of(&status);
        let failure = details.find::<CallFailure>("majordomo.v1.CallFailure");
        let failure = failure.unwrap_or_default();
        Self {
            code: code_of(&status),
            message: status.message().to_owned(),
            reason: details.reason(),
            generation_id: failure.generation_id,
            attempts: failure.attempts,
            omitted_attempts: failure.omitted_attempts,
            retry_delay: details.retry_delay(),
            violations: details
                .find::<BadRequest>("google.rpc.BadRequest")
                .unwrap_or_default()
                .field_violations,
        }
    }
}

/// The status's code; tonic calls its own end of a call at its deadline a cancellation.
fn code_of(status: &Status) -> Code {
    let mut source = error::Error::source(status);
    while let Some(error) = source {
        if error.is::<TimeoutExpired>() {
            return Code::DeadlineExceeded;
        }
        source = error.source();
    }
    status.code()
}

/// What a status carries besides its code and message.
struct Details(Vec<prost_types::Any>);

impl Details {
    /// None, where they are somebody else's, in a form of their own.
    fn of(status: &Status) -> Self {
        let status = pb::Status::decode(status.details()).unwrap_or_default();
        Self(status.details)
    }

    fn find<M: Message + Default>(&self, name: &str) -> Option<M> {
        let detail = self
            .0
            .iter()
            .find(|detail| detail.type_url.rsplit('/').next() == Some(name))?;
        M::decode(detail.value.as_slice()).ok()
    }

    fn reason(&self) -> ErrorReason {
        self.find::<ErrorInfo>("google.rpc.ErrorInfo")
            .filter(|info| info.domain == DOMAIN)
            .and_then(|info| ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)))
            .unwrap_or_default()
    }

    fn retry_delay(&self) -> Option<Duration> {
        let info = self.find::<RetryInfo>("google.rpc.RetryInfo")?;
        info.retry_delay?.try_into().ok()
    }
}

//! When a call is tried again: gRFC A6 by hand, as tonic reads no service config.

use std::time::Duration;

use tonic::{Code, Status};

const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Tries a call again where its server could not take it.
///
/// Only `UNAVAILABLE` is tried again, and what the server says in the trailer
/// `grpc-retry-pushback-ms` wins: when, or by a negative number not at all. A chain that
/// has failed is answered so, because another try would run, and pay for, all of it again.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Tries in all, the first one included.
    pub max_attempts: u32,
    /// Longest wait before the second try.
    pub initial_backoff: Duration,
    /// Longest wait before any try.
    pub max_backoff: Duration,
    /// How much longer each wait may be than the one before.
    pub backoff_multiplier: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(2),
            backoff_multiplier: 2,
        }
    }
}

impl RetryPolicy {
    /// Make `call` until it succeeds or is not to be tried again.
    ///
    /// # Errors
    ///
    /// The status of the last try.
    pub async fn run<T>(
        &self,
        mut call: impl AsyncFnMut() -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut attempt = 1;
        loop {
            let status = match call().await {
                Ok(value) => return Ok(value),
                Err(status) => status,
            };
            let Some(delay) = self.delay(attempt, &status) else {
                return Err(status);
            };
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    /// How long to wait after try number `attempt` ended with `status`; `None`: for good.
    fn delay(&self, attempt: u32, status: &Status) -> Option<Duration> {
        if attempt >= self.max_attempts || status.code() != Code::Unavailable {
            return None;
        }
        match status.metadata().get(PUSHBACK) {
            // What cannot be read means the same as a negative number.
            Some(pushback) => {
                let milliseconds = pushback.to_str().ok()?.parse().ok()?;
                Some(Duration::from_millis(milliseconds))
            }
            None => Some(self.backoff(attempt).mul_f64(fastrand::f64())),
        }
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let factor = self.backoff_multiplier.saturating_pow(attempt - 1);
        self.initial_backoff
            .saturating_mul(factor)
            .min(self.max_backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pushback: Option<&str>) -> Status {
        let mut status = Status::unavailable("no room");
        if let Some(value) = pushback {
            let value = value.parse().expect("metadata");
            status.metadata_mut().insert(PUSHBACK, value);
        }
        status
    }

    /// How many calls were made, and how they ended, where each is answered by `answer`.
    async fn calls(answer: impl Fn(u32) -> Result<(), Status>) -> (u32, Result<(), Code>) {
        let mut made = 0;
        let result = RetryPolicy::default()
            .run(async || {
                made += 1;
                answer(made)
            })
            .await;
        (made, result.map_err(|status| status.code()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_tried_again() {
        let answer = |call| if call < 3 { Err(refused(None)) } else { Ok(()) };

        assert_eq!((3, Ok(())), calls(answer).await);
    }

    #[tokio::test(start_paused = true)]
    async fn tries_have_an_end() {
        let ended = calls(|_| Err(refused(None))).await;

        assert_eq!((3, Err(Code::Unavailable)), ended);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_never_is_left_alone() {
        for pushback in ["-1", "soon", ""] {
            let ended = calls(|_| Err(refused(Some(pushback)))).await;

            assert_eq!((1, Err(Code::Unavailable)), ended, "{pushback:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_when_is_tried_then() {
        let policy = RetryPolicy::default();
        let delay = policy.delay(1, &refused(Some("1500")));

        assert_eq!(Some(Duration::from_millis(1500)), delay);
    }

    #[tokio::test(start_paused = true)]
    async fn other_failures_are_final() {
        let ended = calls(|_| Err(Status::resource_exhausted("rate"))).await;

        assert_eq!((1, Err(Code::ResourceExhausted)), ended);
    }

    #[test]
    fn waits_double_up_to_a_limit() {
        let policy = RetryPolicy::default();
        let waits = [1, 2, 3, 4, 5, 99].map(|attempt| policy.backoff(attempt).as_millis());

        assert_eq!([200, 400, 800, 1600, 2000, 2000], waits);
    }
}

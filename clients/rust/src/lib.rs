//! A client of majordomo: prompts answered through a failover chain of models.
//!
//! Requests and answers are the contract's own messages, in [`v1`]. [`Client`] is what
//! tonic does not do by itself: settings of the channel for images and long silences,
//! retries that honour the server's pushback, a deadline over all of them, and
//! [`Error`]s that tell every attempt.
//!
//! ```no_run
//! use majordomo::{CallOptions, Client, text_of, user};
//! use majordomo::v1::{Call, GenerateRequest, Prompt};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let majordomo = Client::connect("http://127.0.0.1:50051")?;
//! let call = Call {
//!     prompt: Some(Prompt {
//!         messages: vec![user("What is a majordomo?")],
//!         ..Prompt::default()
//!     }),
//!     ..Call::default()
//! };
//! let request = GenerateRequest { call: Some(call) };
//! let response = majordomo.generate(request, &CallOptions::default()).await?;
//! println!("{}", text_of(&response.message.unwrap_or_default()));
//! # Ok(())
//! # }
//! ```

mod answer;
mod client;
mod content;
mod error;
mod retry;

pub use answer::{Answer, Assembly};
pub use client::{CallOptions, Client, endpoint};
pub use content::{text_of, tool_calls, user};
pub use error::Error;
pub use retry::RetryPolicy;

/// The contract: generated from `protos/majordomo/v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic)] // as the generators write it
pub mod v1 {
    include!("generated/majordomo/v1/majordomo.v1.rs");
}

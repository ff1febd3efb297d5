//! Ask a majordomo a question.
//!
//! ```text
//! cargo run --example ask -- "What is a majordomo?" --stream --chain acme/status:503,local/smollm2
//! ```

use std::{
    env, error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use lexopt::{
    Arg::{Long, Value},
    Parser, ValueExt,
};
use majordomo::{
    CallOptions, Client, Error, text_of, user,
    v1::{
        Attempt, Call, Completion, GenerateRequest, Prompt, StreamRequest, part_delta::Delta,
        stream_response::Event,
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run().await.unwrap_or_else(|error| {
        eprintln!("ask: {error}");
        ExitCode::from(2)
    })
}

async fn run() -> Result<ExitCode, Box<dyn error::Error>> {
    let arguments = Arguments::parse(Parser::from_env())?;
    let majordomo = connect(&arguments.address)?;
    let asked = if arguments.stream {
        write_along(&majordomo, &arguments).await
    } else {
        wait(&majordomo, &arguments).await
    };
    match asked {
        Ok(completion) => {
            eprintln!("-- {}", completion.target);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            tell(&error);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Plain text, unless the address begins with `https://`; with the token of the environment.
fn connect(address: &str) -> Result<Client, Box<dyn error::Error>> {
    let majordomo = if address.contains("://") {
        Client::connect(address)?
    } else {
        Client::connect(format!("http://{address}"))?
    };
    Ok(match env::var("MAJORDOMO_TOKEN") {
        Ok(token) => majordomo.with_token(&token)?,
        Err(_) => majordomo,
    })
}

/// Print the whole answer once it is there.
async fn wait(majordomo: &Client, arguments: &Arguments) -> Result<Completion, Error> {
    let request = GenerateRequest {
        call: Some(arguments.call()),
    };
    let response = majordomo.generate(request, &arguments.options).await?;
    println!("{}", text_of(&response.message.unwrap_or_default()));
    Ok(response.completion.unwrap_or_default())
}

/// Print the answer as it is written.
async fn write_along(majordomo: &Client, arguments: &Arguments) -> Result<Completion, Error> {
    let request = StreamRequest {
        call: Some(arguments.call()),
        ..StreamRequest::default()
    };
    let mut answer = majordomo.stream(request, &arguments.options).await?;
    while let Some(event) = answer.next().await? {
        match event {
            Event::PartDelta(piece) => {
                if let Some(Delta::Text(text)) = piece.delta {
                    print!("{text}");
                    let _ = io::stdout().flush();
                }
            }
            Event::Restart(restart) => println!("\n-- again, by {}:", restart.target),
            Event::AttemptEnded(_) | Event::Completion(_) => {}
        }
    }
    println!();
    Ok(answer.assembly().completion().cloned().unwrap_or_default())
}

/// Print why there is no answer: every attempt, or what is wrong with the call.
fn tell(error: &Error) {
    eprintln!("{error}");
    for attempt in &error.attempts {
        eprintln!("  {}", describe(attempt));
    }
    for violation in &error.violations {
        eprintln!("  {}: {}", violation.field, violation.description);
    }
    if let Some(delay) = error.retry_delay {
        eprintln!("  try again in {:.0} s", delay.as_secs_f64());
    }
}

/// A target, what became of it, and why.
fn describe(attempt: &Attempt) -> String {
    let outcome = attempt.outcome().as_str_name();
    let outcome = outcome.trim_start_matches("ATTEMPT_OUTCOME_");
    let reason = attempt.failure_reason().as_str_name();
    let reason = reason.trim_start_matches("FAILURE_REASON_");
    format!(
        "{}. {}: {}, {reason}",
        attempt.number,
        attempt.target,
        outcome.to_lowercase()
    )
}

struct Arguments {
    question: String,
    chain: String,
    stream: bool,
    address: String,
    options: CallOptions,
}

impl Arguments {
    fn parse(mut parser: Parser) -> Result<Self, lexopt::Error> {
        let mut question = None;
        let mut chain = String::new();
        let mut stream = false;
        let mut address = env::var("MAJORDOMO_ADDRESS").unwrap_or("127.0.0.1:50051".into());
        // As tools that start others hand it on: the call is part of the caller's trace.
        let mut options = CallOptions {
            traceparent: env::var("TRACEPARENT").ok(),
            ..CallOptions::default()
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Value(value) if question.is_none() => question = Some(value.string()?),
                Long("chain") => chain = parser.value()?.string()?,
                Long("stream") => stream = true,
                Long("timeout") => {
                    let seconds = parser.value()?.parse()?;
                    options.timeout = Some(Duration::from_secs_f64(seconds));
                }
                Long("address") => address = parser.value()?.string()?,
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Self {
            question: question.ok_or("what is the question?")?,
            chain,
            stream,
            address,
            options,
        })
    }

    fn call(&self) -> Call {
        Call {
            chain: self.chain.clone(),
            prompt: Some(self.prompt()),
            ..Call::default()
        }
    }

    fn prompt(&self) -> Prompt {
        Prompt {
            messages: vec![user(&self.question)],
            ..Prompt::default()
        }
    }
}

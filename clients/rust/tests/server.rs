//! The client against a real server: the one that the environment names.

use std::{env, fs, time::Duration};

use majordomo::{
    Answer, CallOptions, Client, Error, endpoint, text_of, tool_calls, user,
    v1::{
        Attempt, AttemptOutcome, Blob, Call, ChainOptions, Completion, ErrorReason, FailureReason,
        FunctionTool, GenerateRequest, InterruptionPolicy, Message, Part, Prompt, Role,
        StreamRequest, Tool, ToolResult, citation::Source, part::Kind, stream_response::Event,
        tool,
    },
};
use tonic::{
    Code,
    transport::{Certificate, ClientTlsConfig},
};

const DOWN: &str = "acme/status:503";
const LOCAL: &str = "local/smollm2";

fn told(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: see README.md"))
}

fn open() -> Client {
    let uri = format!("http://{}", told("MAJORDOMO_ADDRESS"));
    Client::connect(uri).expect("an address")
}

fn secure() -> Client {
    let authority = fs::read(told("MAJORDOMO_CA")).expect("the authority's certificate");
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
    let endpoint = endpoint(format!("https://{}", told("MAJORDOMO_SECURE_ADDRESS")));
    let endpoint = endpoint.and_then(|endpoint| endpoint.tls_config(tls));
    Client::new(endpoint.expect("an address").connect_lazy())
}

fn prompt(messages: Vec<Message>) -> Prompt {
    Prompt {
        messages,
        ..Prompt::default()
    }
}

fn call(chain: &str, prompt: Prompt) -> Call {
    Call {
        chain: chain.into(),
        prompt: Some(prompt),
        ..Call::default()
    }
}

fn generating(chain: &str, prompt: Prompt) -> GenerateRequest {
    GenerateRequest {
        call: Some(call(chain, prompt)),
    }
}

fn streaming(chain: &str, text: &str) -> StreamRequest {
    StreamRequest {
        call: Some(call(chain, prompt(vec![user(text)]))),
        ..StreamRequest::default()
    }
}

async fn answered(client: &Client, request: GenerateRequest) -> (Message, Completion) {
    let response = client.generate(request, &CallOptions::default()).await;
    let response = response.expect("an answer");
    let completion = response.completion.expect("a completion");
    (response.message.expect("a turn"), completion)
}

async fn asked(client: &Client, chain: &str, text: &str) -> (Message, Completion) {
    answered(client, generating(chain, prompt(vec![user(text)]))).await
}

async fn refused(client: &Client, chain: &str, options: &CallOptions) -> Error {
    let request = generating(chain, prompt(vec![user("hi")]));
    let response = client.generate(request, options).await;
    response.expect_err("a failure")
}

async fn streamed(client: &Client, request: StreamRequest) -> Answer {
    let answer = client.stream(request, &CallOptions::default()).await;
    answer.expect("an answer that begins")
}

async fn next(answer: &mut Answer) -> Option<Event> {
    answer.next().await.expect("an event")
}

async fn read(mut answer: Answer) -> (Vec<Event>, Message, Completion) {
    let mut events = Vec::new();
    while let Some(event) = next(&mut answer).await {
        events.push(event);
    }
    let assembly = answer.assembly();
    let completion = assembly.completion().expect("a completion").clone();
    (events, assembly.message(), completion)
}

fn weather() -> Tool {
    let function = FunctionTool {
        name: "get_weather".into(),
        description: "The weather of a city.".into(),
        parameters_schema_json: r#"{"type":"object","properties":{"city":{"type":"string"}}}"#
            .into(),
    };
    Tool {
        kind: Some(tool::Kind::Function(function)),
    }
}

fn outcomes(attempts: &[Attempt]) -> Vec<(&str, AttemptOutcome, FailureReason)> {
    attempts
        .iter()
        .map(|it| (it.target.as_str(), it.outcome(), it.failure_reason()))
        .collect()
}

#[tokio::test]
async fn success() {
    let (message, completion) = asked(&open(), "acme/echo", "hi you").await;

    assert_eq!("hi you", text_of(&message));
    assert_eq!("acme/echo", completion.target);
}

#[tokio::test]
async fn stream() {
    let answer = streamed(&open(), streaming("acme/echo+pace:20ms", "one two three")).await;
    let (events, message, completion) = read(answer).await;

    let pieces = events
        .iter()
        .filter(|event| matches!(event, Event::PartDelta(_)))
        .count();
    assert_eq!(3, pieces);
    assert_eq!("one two three", text_of(&message));
    assert_eq!(message.origin, completion.target);
}

#[tokio::test]
async fn tools() {
    let client = open();
    let mut prompt = prompt(vec![user("What is the weather in Paris?")]);
    prompt.tools.push(weather());

    let (asking, completion) =
        answered(&client, generating("upstream/tool-rust", prompt.clone())).await;
    let call = tool_calls(&asking).next().expect("a call").clone();
    assert_eq!("get_weather", call.name);
    assert_eq!(r#"{"city":"Paris"}"#, call.arguments_json);
    assert_eq!("tool_calls", completion.provider_finish_reason);

    prompt.messages.push(asking);
    prompt.messages.push(result_of(&call.id, "rain"));
    let (message, _) = answered(&client, generating("upstream/tool-rust", prompt)).await;

    assert_eq!("Paris: rain", text_of(&message));
}

fn result_of(tool_call_id: &str, text: &str) -> Message {
    let result = ToolResult {
        tool_call_id: tool_call_id.into(),
        parts: user(text).parts,
        is_error: false,
    };
    Message {
        role: Role::Tool.into(),
        parts: vec![Part {
            kind: Some(Kind::ToolResult(result)),
            ..Part::default()
        }],
        ..Message::default()
    }
}

#[tokio::test]
async fn conversation() {
    let client = open();
    let chain = "upstream/talk-rust";
    let (whole, _) = asked(&client, chain, "Hello").await;
    let (_, pieced, _) = read(streamed(&client, streaming(chain, "Hello")).await).await;
    assert!(
        whole
            .parts
            .iter()
            .any(|part| !part.provider_state.is_empty())
    );
    assert_eq!(whole, pieced);

    for turn in [whole, pieced] {
        let messages = vec![user("Hello"), turn, user("Go on.")];
        let (message, _) = answered(&client, generating(chain, prompt(messages))).await;

        assert_eq!("kept", text_of(&message));
    }
}

#[tokio::test]
async fn sources() {
    let client = open();
    let chain = "upstream/sources-rust";
    let (whole, _) = asked(&client, chain, "How are you?").await;
    let (_, pieced, _) = read(streamed(&client, streaming(chain, "How are you?")).await).await;
    assert_eq!(whole, pieced);

    let citation = &pieced.parts[0].citations[0];
    let range = citation.range.expect("a range");
    let cited = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
    assert_eq!(
        Some(Source::Uri("https://example.org/a".into())),
        citation.source
    );
    assert_eq!("Ça va", &text_of(&pieced)[cited]);
    assert!(matches!(&pieced.parts[1].kind, Some(Kind::Opaque(part)) if part.r#type == "file"));
    assert!(
        matches!(&pieced.parts[2].kind, Some(Kind::Blob(blob)) if blob.data.len() == 1_500_008)
    );
}

#[tokio::test]
async fn cancel() {
    let client = open();
    let mut answer = streamed(&client, streaming("upstream/hang-rust", "hi")).await;
    next(&mut answer).await;
    assert_eq!("one ", text_of(&answer.assembly().message()));

    drop(answer); // the call ends, and the harness sees the provider's connection close
    asked(&client, "acme/echo", "hi").await; // the client's own stays open
}

#[tokio::test]
async fn failover() {
    let (message, completion) = asked(&open(), &format!("{DOWN},acme/echo"), "hi").await;

    assert_eq!("hi", text_of(&message));
    let down = (DOWN, AttemptOutcome::Failed, FailureReason::Overloaded);
    let echo = (
        "acme/echo",
        AttemptOutcome::Succeeded,
        FailureReason::Unspecified,
    );
    assert_eq!(vec![down, down, echo], outcomes(&completion.attempts));
}

#[tokio::test]
async fn exhausted() {
    let error = refused(&open(), DOWN, &CallOptions::default()).await;

    assert_eq!(Code::Unavailable, error.code);
    assert_eq!(ErrorReason::ChainExhausted, error.reason);
    let down = (DOWN, AttemptOutcome::Failed, FailureReason::Overloaded);
    assert_eq!(vec![down, down], outcomes(&error.attempts));
    assert_eq!(0, error.omitted_attempts);
    assert_ne!(None, error.retry_delay);
    assert_ne!("", error.generation_id);
    assert!(error.to_string().starts_with("CHAIN_EXHAUSTED: "));
}

#[tokio::test]
async fn interrupted() {
    let mut answer = streamed(&open(), streaming("acme/cut:1", "one two")).await;
    next(&mut answer).await;
    let error = answer.next().await.expect_err("a break");

    assert_eq!("one ", text_of(&answer.assembly().message()));
    assert_eq!(None, answer.assembly().completion());
    assert_eq!(Code::Aborted, error.code);
    assert_eq!(ErrorReason::StreamInterrupted, error.reason);
    let cut = (
        "acme/cut:1",
        AttemptOutcome::Interrupted,
        FailureReason::Connection,
    );
    assert_eq!(vec![cut], outcomes(&error.attempts));
}

#[tokio::test]
async fn restart() {
    let mut request = streaming("acme/cut:1,acme/echo", "one two");
    let mut options = ChainOptions::default();
    options.set_interruption_policy(InterruptionPolicy::Restart);
    request.call.as_mut().expect("a call").options = Some(options);
    let (events, message, completion) = read(streamed(&open(), request).await).await;

    let mut restarts = events.iter().filter_map(|event| match event {
        Event::Restart(restart) => Some(restart.target.as_str()),
        _ => None,
    });
    assert_eq!(Some("acme/echo"), restarts.next());
    assert_eq!("one two", text_of(&message));
    assert_eq!("acme/echo", completion.target);
}

#[tokio::test]
async fn deadline() {
    let options = CallOptions {
        timeout: Some(Duration::from_secs(5)),
        ..CallOptions::default()
    };
    let error = refused(&open(), "acme/stall:0", &options).await;

    assert_eq!(Code::DeadlineExceeded, error.code);
    assert_eq!(ErrorReason::DeadlineExceeded, error.reason);
    let stalled = (
        "acme/stall:0",
        AttemptOutcome::Cancelled,
        FailureReason::Deadline,
    );
    assert_eq!(vec![stalled], outcomes(&error.attempts));
}

#[tokio::test]
async fn image() {
    // Larger than gRPC's own limits both ways: 8 MB there, 5 MB back.
    let text = "word ".repeat(1 << 20);
    let mut turn = user(text.clone());
    let mut data = b"\x89PNG\r\n\x1a\n".to_vec();
    data.resize_with(8 << 20, || fastrand::u8(..));
    let blob = Blob {
        media_type: "image/png".into(),
        data,
    };
    turn.parts.push(Part {
        kind: Some(Kind::Blob(blob)),
        ..Part::default()
    });

    // Of such a tier the first call is refused: what is this large is tried again as well.
    for chain in ["acme/echo", "flaky-rust-image"] {
        let request = generating(chain, prompt(vec![turn.clone()]));
        let (message, _) = answered(&open(), request).await;

        assert!(text == text_of(&message));
    }
}

#[tokio::test]
async fn tls() {
    let client = secure().with_token(&told("MAJORDOMO_TOKEN"));
    let (message, _) = asked(&client.expect("a token"), "acme/echo", "hi").await;

    assert_eq!("hi", text_of(&message));
}

#[tokio::test]
async fn token() {
    let client = secure();
    let right = client.clone().with_token(&told("MAJORDOMO_TOKEN"));
    let wrong = client.clone().with_token("wrong").expect("a token");
    asked(&right.expect("a token"), "acme/echo", "hi").await;

    for client in [client, wrong] {
        let error = refused(&client, "acme/echo", &CallOptions::default()).await;

        assert_eq!(Code::Unauthenticated, error.code);
        assert_eq!(ErrorReason::Unauthenticated, error.reason);
    }
}

#[tokio::test]
async fn trace() {
    let trace = format!("{:032x}", fastrand::u128(1..));
    let options = CallOptions {
        traceparent: Some(format!("00-{trace}-{:016x}-01", fastrand::u64(1..))),
        ..CallOptions::default()
    };
    let request = generating("acme/echo", prompt(vec![user("hi")]));
    let response = open().generate(request, &options).await;

    let completion = response.expect("an answer").completion;
    assert_eq!(trace, completion.expect("a completion").trace_id);
}

#[tokio::test]
async fn retry() {
    let client = open();
    // The first call of each two for such a tier is refused, without a pushback.
    let (message, _) = asked(&client, "flaky-rust", "hi").await;
    assert_eq!("hi", text_of(&message));

    // The harness counts: no more than one walk for each.
    let options = CallOptions::default();
    let whole = refused(&client, "upstream/counted-rust", &options).await;
    let request = streaming("upstream/counted-stream-rust", "hi");
    let streamed = client.stream(request, &options).await;
    for error in [whole, streamed.expect_err("a failure")] {
        assert_eq!(ErrorReason::ChainExhausted, error.reason);
        assert_eq!(2, error.attempts.len());
    }
}

#[tokio::test]
async fn success_local() {
    let client = open();
    let (message, completion) = asked(&client, LOCAL, "Say hello.").await;
    assert_ne!("", text_of(&message));
    assert_eq!(LOCAL, completion.target);

    let answer = streamed(&client, streaming(LOCAL, "Say hello.")).await;
    let (_, message, completion) = read(answer).await;
    assert_ne!("", text_of(&message));
    assert_eq!(LOCAL, completion.target);
}

#[tokio::test]
async fn tools_local() {
    let chain = format!("{LOCAL},upstream/tool-rust");
    let mut prompt = prompt(vec![user("What is the weather in Paris?")]);
    prompt.tools.push(weather());
    let (message, completion) = answered(&open(), generating(&chain, prompt)).await;

    assert_eq!(1, tool_calls(&message).count());
    let skipped = (LOCAL, AttemptOutcome::Skipped, FailureReason::Unsupported);
    assert_eq!(skipped, outcomes(&completion.attempts)[0]);
}

#[tokio::test]
async fn cancel_local() {
    let client = open();
    let request = streaming(LOCAL, "Tell a long story of a butler.");
    let mut answer = streamed(&client, request).await;
    next(&mut answer).await;
    assert_ne!("", text_of(&answer.assembly().message()));

    drop(answer); // the harness sees the attempt end with it
    asked(&client, "acme/echo", "hi").await;
}

//! A conversation in which the model may call a tool: asked, answered, carried on.
//!
//! ```text
//! cargo run --example tools -- openai/gpt-5-mini "What is the weather in Paris?" "And in Rome?"
//! ```

use std::{env, error};

use majordomo::{
    CallOptions, Client, text_of, tool_calls, user,
    v1::{
        Call, FunctionTool, GenerateRequest, Message, Part, Prompt, Role, Tool, ToolCall,
        ToolResult, part::Kind, tool,
    },
};

const ROUNDS: usize = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn error::Error>> {
    let mut arguments = env::args().skip(1);
    let chain = arguments.next().ok_or("tools CHAIN QUESTION...")?;
    let address = env::var("MAJORDOMO_ADDRESS").unwrap_or("127.0.0.1:50051".into());
    let majordomo = Client::connect(format!("http://{address}"))?;

    let mut prompt = Prompt {
        tools: vec![weather()],
        ..Prompt::default()
    };
    for question in arguments {
        prompt.messages.push(user(question));
        println!("{}", answer(&majordomo, &chain, &mut prompt).await?);
    }
    Ok(())
}

/// The model's answer to the last turn, once it calls no tool any more.
///
/// Its turns go into the conversation as they came, `origin` and `provider_state` included:
/// with them the target that wrote a turn reads its own reasoning again.
async fn answer(
    majordomo: &Client,
    chain: &str,
    prompt: &mut Prompt,
) -> Result<String, Box<dyn error::Error>> {
    for _ in 0..ROUNDS {
        let call = Call {
            chain: chain.into(),
            prompt: Some(prompt.clone()),
            ..Call::default()
        };
        let request = GenerateRequest { call: Some(call) };
        let response = majordomo.generate(request, &CallOptions::default()).await?;
        let turn = response.message.unwrap_or_default();
        let results: Vec<Part> = tool_calls(&turn).map(result_of).collect();
        let text = text_of(&turn);
        prompt.messages.push(turn);
        if results.is_empty() {
            return Ok(text);
        }
        prompt.messages.push(Message {
            role: Role::Tool.into(),
            parts: results,
            ..Message::default()
        });
    }
    Err(format!("no answer after {ROUNDS} rounds of tools").into())
}

/// A tool, as the model is told of it.
fn weather() -> Tool {
    let function = FunctionTool {
        name: "get_weather".into(),
        description: "The weather of a city.".into(),
        parameters_schema_json: r#"{
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"]
        }"#
        .into(),
    };
    Tool {
        kind: Some(tool::Kind::Function(function)),
    }
}

/// What the tool answers: a real one would read the arguments.
fn result_of(call: &ToolCall) -> Part {
    let (text, is_error) = match call.name.as_str() {
        "get_weather" => (format!("Sunny, 21 °C ({})", call.arguments_json), false),
        name => (format!("there is no tool {name}"), true),
    };
    Part {
        kind: Some(Kind::ToolResult(ToolResult {
            tool_call_id: call.id.clone(),
            parts: user(text).parts,
            is_error,
        })),
        ..Part::default()
    }
}

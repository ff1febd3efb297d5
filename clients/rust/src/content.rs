//! Turns of a conversation, made and read with few words.

use crate::v1::{Message, Part, Role, ToolCall, part::Kind};

/// A user's turn that says `text`.
pub fn user(text: impl Into<String>) -> Message {
    Message {
        role: Role::User.into(),
        parts: vec![Part {
            kind: Some(Kind::Text(text.into())),
            ..Part::default()
        }],
        ..Message::default()
    }
}

/// The text of a turn, its parts joined.
#[must_use]
pub fn text_of(message: &Message) -> String {
    message
        .parts
        .iter()
        .filter_map(|part| match &part.kind {
            Some(Kind::Text(text)) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// The tools that a turn asks for.
pub fn tool_calls(message: &Message) -> impl Iterator<Item = &ToolCall> {
    message.parts.iter().filter_map(|part| match &part.kind {
        Some(Kind::ToolCall(call)) => Some(call),
        _ => None,
    })
}

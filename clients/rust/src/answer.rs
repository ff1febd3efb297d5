//! A streamed answer.

use tokio::time::Instant;
use tonic::Streaming;

use crate::{
    Error,
    client::by,
    v1::{
        Completion, Message, Part, PartDelta, Reasoning, Role, StreamResponse, ToolCall,
        ToolCallDelta, part::Kind, part_delta::Delta, stream_response::Event,
    },
};

/// The events of an answer that is being written.
///
/// To drop it is to cancel the call: the server ends it at its provider at once.
#[derive(Debug)]
pub struct Answer {
    events: Streaming<StreamResponse>,
    deadline: Option<Instant>,
    assembly: Assembly,
}

impl Answer {
    pub(crate) fn new(events: Streaming<StreamResponse>, deadline: Option<Instant>) -> Self {
        Self {
            events,
            deadline,
            assembly: Assembly::default(),
        }
    }

    /// The next event; `None` when the answer is complete.
    ///
    /// # Errors
    ///
    /// The stream broke. What had come is still in [`Answer::assembly`].
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let Some(response) = by(self.deadline, self.events.message()).await? else {
                return Ok(None);
            };
            // Without an event: one of a kind that this client does not know.
            if let Some(event) = response.event {
                self.assembly.add(&event);
                return Ok(Some(event));
            }
        }
    }

    /// What has been read so far.
    #[must_use]
    pub fn assembly(&self) -> &Assembly {
        &self.assembly
    }
}

/// A turn, put together from the events of its stream.
#[derive(Clone, Debug, Default)]
pub struct Assembly {
    parts: Vec<Part>,
    completion: Option<Completion>,
}

impl Assembly {
    /// Take `event` in.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::PartDelta(delta) => self.append(delta),
            Event::Restart(_) => self.parts.clear(),
            Event::Completion(completion) => self.completion = Some(completion.clone()),
            Event::AttemptEnded(_) => {}
        }
    }

    /// How the call ended; `None` until it has ended well.
    #[must_use]
    pub fn completion(&self) -> Option<&Completion> {
        self.completion.as_ref()
    }

    /// The turn, as far as it has come. At the end it is as that of `generate`: to be
    /// appended to the conversation unchanged.
    #[must_use]
    pub fn message(&self) -> Message {
        let completion = self.completion.as_ref();
        Message {
            role: Role::Assistant.into(),
            // A part of a kind that this client does not know has nothing to show.
            parts: self
                .parts
                .iter()
                .filter(|part| part.kind.is_some())
                .cloned()
                .collect(),
            origin: completion.map_or_else(String::new, |end| end.target.clone()),
        }
    }

    fn append(&mut self, delta: &PartDelta) {
        let Ok(index) = usize::try_from(delta.part_index) else {
            return;
        };
        if self.parts.len() <= index {
            self.parts.resize_with(index + 1, Part::default);
        }
        let part = &mut self.parts[index];
        part.provider_state.extend(&delta.provider_state);
        part.citations.extend(delta.citations.iter().cloned());
        match (&mut part.kind, &delta.delta) {
            (_, None) => {}
            (Some(Kind::Text(text)), Some(Delta::Text(piece)))
            | (Some(Kind::Reasoning(Reasoning { text })), Some(Delta::Reasoning(piece))) => {
                text.push_str(piece);
            }
            (Some(Kind::ToolCall(call)), Some(Delta::ToolCall(piece))) => {
                call.arguments_json.push_str(&piece.arguments_json_fragment);
            }
            (Some(Kind::Blob(blob)), Some(Delta::Blob(piece))) => blob.data.extend(&piece.data),
            (kind, Some(delta)) => *kind = Some(begun(delta)),
        }
    }
}

/// A part that begins with `delta`.
fn begun(delta: &Delta) -> Kind {
    match delta.clone() {
        Delta::Text(text) => Kind::Text(text),
        Delta::Reasoning(text) => Kind::Reasoning(Reasoning { text }),
        Delta::Blob(blob) => Kind::Blob(blob),
        Delta::MediaReference(reference) => Kind::MediaReference(reference),
        Delta::Opaque(opaque) => Kind::Opaque(opaque),
        Delta::ToolCall(ToolCallDelta {
            id,
            name,
            arguments_json_fragment: arguments_json,
        }) => Kind::ToolCall(ToolCall {
            id,
            name,
            arguments_json,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::Restart;

    fn delta(part_index: i32, delta: Delta, provider_state: &[u8]) -> Event {
        Event::PartDelta(PartDelta {
            part_index,
            delta: Some(delta),
            provider_state: provider_state.to_vec(),
            ..PartDelta::default()
        })
    }

    fn call(id: &str, name: &str, fragment: &str) -> Delta {
        Delta::ToolCall(ToolCallDelta {
            id: id.into(),
            name: name.into(),
            arguments_json_fragment: fragment.into(),
        })
    }

    fn part(kind: Kind, provider_state: &[u8]) -> Part {
        Part {
            kind: Some(kind),
            provider_state: provider_state.to_vec(),
            ..Part::default()
        }
    }

    fn assembled(events: &[Event]) -> Assembly {
        let mut assembly = Assembly::default();
        for event in events {
            assembly.add(event);
        }
        assembly
    }

    #[test]
    fn pieces_become_the_parts_they_are_of() {
        let assembly = assembled(&[
            delta(0, Delta::Reasoning("hm".into()), b"signed"),
            delta(1, Delta::Text("one ".into()), b""),
            delta(1, Delta::Text("two".into()), b""),
            delta(2, call("1", "get_weather", "{\"city\":"), b""),
            delta(2, call("", "", "\"Paris\"}"), b"state"),
            Event::Completion(Completion {
                target: "acme/echo".into(),
                ..Completion::default()
            }),
        ]);

        let expected = Message {
            role: Role::Assistant.into(),
            parts: vec![
                part(Kind::Reasoning(Reasoning { text: "hm".into() }), b"signed"),
                part(Kind::Text("one two".into()), b""),
                part(
                    Kind::ToolCall(ToolCall {
                        id: "1".into(),
                        name: "get_weather".into(),
                        arguments_json: "{\"city\":\"Paris\"}".into(),
                    }),
                    b"state",
                ),
            ],
            origin: "acme/echo".into(),
        };
        assert_eq!(expected, assembly.message());
    }

    #[test]
    fn a_restart_voids_what_came() {
        let assembly = assembled(&[
            delta(0, Delta::Text("one".into()), b""),
            delta(1, Delta::Text("two".into()), b""),
            Event::Restart(Restart::default()),
            delta(0, Delta::Text("three".into()), b""),
        ]);

        assert_eq!(
            vec![part(Kind::Text("three".into()), b"")],
            assembly.message().parts
        );
        assert_eq!(None, assembly.completion());
    }
}

package majordomo

import (
	"maps"
	"slices"
	"strings"

	pb "github.com/majordomo-grpc/majordomo/clients/go/majordomo/v1"
)

// Answer is a streamed answer as far as it has come. Its zero value is ready for the
// first event.
type Answer struct {
	// Completion is how the call ended; nil before the end.
	Completion *pb.Completion

	parts map[int32]*pb.Part
}

// Add takes in the next event of the stream.
func (a *Answer) Add(event *pb.StreamResponse) {
	switch event := event.GetEvent().(type) {
	case *pb.StreamResponse_PartDelta:
		a.append(event.PartDelta)
	case *pb.StreamResponse_Restart:
		a.parts = nil
	case *pb.StreamResponse_Completion:
		a.Completion = event.Completion
	}
}

// Message is the model's turn. At the end of the stream it is as Generate's: ready to
// append to Prompt.Messages.
func (a *Answer) Message() *pb.Message {
	message := &pb.Message{Role: pb.Role_ROLE_ASSISTANT, Origin: a.Completion.GetTarget()}
	for _, index := range slices.Sorted(maps.Keys(a.parts)) {
		if part := a.parts[index]; part.GetKind() != nil {
			message.Parts = append(message.Parts, part)
		}
	}
	return message
}

func (a *Answer) append(delta *pb.PartDelta) {
	if a.parts == nil {
		a.parts = map[int32]*pb.Part{}
	}
	part := a.parts[delta.GetPartIndex()]
	if part == nil {
		part = &pb.Part{}
		a.parts[delta.GetPartIndex()] = part
	}
	switch piece := delta.GetDelta().(type) {
	case *pb.PartDelta_Text:
		part.Kind = &pb.Part_Text{Text: part.GetText() + piece.Text}
	case *pb.PartDelta_Reasoning:
		text := part.GetReasoning().GetText() + piece.Reasoning
		part.Kind = &pb.Part_Reasoning{Reasoning: &pb.Reasoning{Text: text}}
	case *pb.PartDelta_ToolCall:
		call := part.GetToolCall()
		if call == nil {
			call = &pb.ToolCall{Id: piece.ToolCall.GetId(), Name: piece.ToolCall.GetName()}
			part.Kind = &pb.Part_ToolCall{ToolCall: call}
		}
		call.ArgumentsJson += piece.ToolCall.GetArgumentsJsonFragment()
	case *pb.PartDelta_Blob:
		media := part.GetBlob()
		if media == nil {
			media = &pb.Blob{MediaType: piece.Blob.GetMediaType()}
			part.Kind = &pb.Part_Blob{Blob: media}
		}
		media.Data = append(media.Data, piece.Blob.GetData()...)
	case *pb.PartDelta_MediaReference:
		part.Kind = &pb.Part_MediaReference{MediaReference: piece.MediaReference}
	case *pb.PartDelta_Opaque:
		part.Kind = &pb.Part_Opaque{Opaque: piece.Opaque}
	}
	part.Citations = append(part.Citations, delta.GetCitations()...)
	part.ProviderState = append(part.ProviderState, delta.GetProviderState()...)
}

// Text is the text of a turn, without its reasoning, tool calls and media.
func Text(message *pb.Message) string {
	var text strings.Builder
	for _, part := range message.GetParts() {
		text.WriteString(part.GetText())
	}
	return text.String()
}

// User is a turn of the person who asks.
func User(text string) *pb.Message {
	return &pb.Message{
		Role:  pb.Role_ROLE_USER,
		Parts: []*pb.Part{{Kind: &pb.Part_Text{Text: text}}},
	}
}

"""Google's Gemini API, at its own address and at Vertex AI."""

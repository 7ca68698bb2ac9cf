"""Does the LLM do what the prompt says? Labelled cases, asked of any OpenAI-compatible endpoint, and kept.

`cases` reads them, `asking` asks, `cassettes` keeps what came, `verdict` counts. Nothing here takes a call.
"""

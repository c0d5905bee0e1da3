"""What a request to /v1 asks for, as OpenAI's clients send it: what is not obeyed here is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from kft.registry import nearest
from kft.serve.limits import Refused

STOPS = 4
Stop = Annotated[str, Field(min_length=1, max_length=1000)]


class Part(BaseModel):
    """A piece of a message."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of a chat."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "user", "assistant"]
    content: str | list[Part]

    @model_validator(mode="before")
    @classmethod
    def _as_answered(cls, given: Any) -> Any:
        """Leaves out keys that say nothing, such as ``refusal`` of an answer that a client hands back as it came."""
        if not isinstance(given, dict):
            return given
        return {key: value for key, value in given.items() if key in cls.model_fields or value not in (None, [])}

    @property
    def text(self) -> str:
        """What is said, its parts one after the other."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What a stream holds beside the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool = Field(False, description="A last chunk says how many tokens were read and written.")


class WritingBody(BaseModel):
    """What both paths take."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(description="Which model, by its name: GET /v1/models lists them.")
    max_tokens: int | None = Field(None, ge=1, description="Of the answer; at most what responses had in training.")
    temperature: float = Field(0.0, ge=0, le=100, description="0, the default, takes the likeliest token each time.")
    top_p: float = Field(1.0, gt=0, le=1, description="Draws among the likeliest tokens with this share.")
    seed: int = Field(0, ge=0, lt=2**63, description="Of the draws: the same request gets the same answer.")
    stop: Stop | list[Stop] | None = Field(None, description=f"Texts that end the answer; at most {STOPS}.")
    stream: bool = Field(False, description="Sends the answer as it is written, as server-sent events.")
    stream_options: StreamOptions | None = None
    user: str | None = Field(None, description="Not read.")

    @property
    def stops(self) -> tuple[str, ...]:
        """Those texts."""
        return () if self.stop is None else (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


class ChatBody(WritingBody):
    """The body of a request to /v1/chat/completions."""

    model_config = ConfigDict(extra="forbid", strict=True, title="ChatBody")

    messages: list[Message] = Field(min_length=1, description="What was said so far; the last is the user's.")
    max_completion_tokens: int | None = Field(None, ge=1, description="Another name of max_tokens.")


class CompletionBody(WritingBody):
    """The body of a request to /v1/completions."""

    model_config = ConfigDict(extra="forbid", strict=True, title="CompletionBody")

    prompt: str | list[str] = Field(description="The prompt, which the model's template is put around.")


ONE = "one answer is written to a request"
UNLIKELY = "how likely tokens are is not given"
PENALTY = "tokens are drawn by their own likelihood alone"
TOOLS = "the model answers with a text, and calls nothing"
KEPT = "nothing of a request is kept"
NOT_OBEYED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    # key: values that ask for nothing, and why others are refused
    "n": ((1,), ONE),
    "best_of": ((1,), ONE),
    "logprobs": ((False,), UNLIKELY),
    "top_logprobs": ((0,), UNLIKELY),
    "echo": ((False,), "the prompt is not repeated"),
    "suffix": (("",), "nothing is written before a text"),
    "frequency_penalty": ((0,), PENALTY),
    "presence_penalty": ((0,), PENALTY),
    "logit_bias": (({},), PENALTY),
    "tools": (([],), TOOLS),
    "tool_choice": (("none", "auto"), TOOLS),
    "parallel_tool_calls": ((True, False), TOOLS),
    "functions": (([],), TOOLS),
    "function_call": (("none", "auto"), TOOLS),
    "response_format": (({"type": "text"},), "no form is imposed on an answer: tune the model to it"),
    "modalities": ((["text"],), "texts alone are written"),
    "audio": ((), "texts alone are written"),
    "prediction": ((), "nothing is guessed ahead"),
    "reasoning_effort": (("none",), "the model answers at once"),
    "verbosity": ((), "an answer is as long as the model was tuned to write"),
    "web_search_options": ((), "nothing is searched"),
    "service_tier": (("auto", "default"), "all requests wait in one queue"),
    "store": ((False,), KEPT),
    "metadata": (({},), KEPT),
}


def wrong(reason: str, param: str | None = None, code: str | None = None) -> Refused:
    """Returns the refusal of a request that cannot be obeyed, as OpenAI's clients know it."""
    return Refused(400, reason, kind="invalid", param=param, code=code)


def read_body(kind: type[WritingBody], content: bytes) -> Any:
    """Returns a request's JSON as what it should be.

    Raises:
        Refused: It is something else, or asks for what is not done here (400); the reason repeats no value.
    """
    try:
        values = from_json(content, allow_inf_nan=False)
    except ValueError:
        raise wrong("the body is no JSON in UTF-8") from None
    if not isinstance(values, dict):
        raise wrong("the body is no JSON object")
    for key in [key for key in values if key in NOT_OBEYED and key not in kind.model_fields]:
        neutral, why = NOT_OBEYED[key]
        given = values.pop(key)
        if given is not None and not any(_same(given, each) for each in neutral):
            raise wrong(f"{key} is not supported: {why}", key, "unsupported_parameter")
    # null is how clients leave a key out
    values = {key: value for key, value in values.items() if value is not None}
    try:
        body: WritingBody = kind.model_validate(values)
    except ValidationError as failed:
        raise _problem(kind, failed) from None
    if len(body.stops) > STOPS:
        raise wrong(f"stop: {len(body.stops):,} texts; at most {STOPS}", "stop")
    if body.stream_options is not None and not body.stream:
        raise wrong("stream_options belongs to stream: true", "stream_options")
    return body


def _same(given: Any, neutral: Any) -> bool:
    """Whether two values are one; true is no number."""
    return given == neutral and isinstance(given, bool) == isinstance(neutral, bool)


def _problem(kind: type[WritingBody], failed: ValidationError) -> Refused:
    first = failed.errors(include_url=False, include_input=False, include_context=False)[0]
    kinds = ("str", "Part", "list[", "constrained-str", "list[Part]", "function-")
    parts = [str(part) for part in first["loc"] if isinstance(part, int) or not part.startswith(kinds)]
    key = ".".join(parts)[:100]
    if first["type"] == "extra_forbidden":
        hint = nearest(parts[-1], kind.model_fields) if len(parts) == 1 else None
        known = f"there are {', '.join(kind.model_fields)}" if len(parts) == 1 else "it is not known there"
        return wrong("unknown key; " + (f"did you mean {hint}?" if hint else known), None, "unknown_parameter")
    if first["type"] == "missing":
        return wrong(f"{key} is missing", parts[0], "missing_required_parameter")
    return wrong(f"{key or 'the body'}: {first['msg'][:1].lower()}{first['msg'][1:]}", parts[0] if parts else None)

"""The fields that the bodies of several routes share, and how they become a request of the scheduler."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from unspool.errors import ConfigError, DataError
from unspool.generate.draws import Drawing
from unspool.generate.sampling import Sampling
from unspool.generate.text import BANNED, banned_ids
from unspool.serve.constraints import WantedConstraint
from unspool.serve.models import ServedModel
from unspool.serve.problems import Problem

LARGEST_SEED = 2**63 - 1
ANY_OBJECT = {"type": "object"}
Name = Annotated[str, Field(max_length=500, description="A model, as /v1/models lists them.")]
Stop = Annotated[str, Field(min_length=1, max_length=1000)]
Count = Annotated[int, Field(ge=1, le=1024)]
Probability = Annotated[float, Field(allow_inf_nan=False)]


class Body(BaseModel):
    """A body whose every field is known: what is not supported is refused, and not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NamedSchema(Body):
    """A JSON schema as OpenAI's API has it; it is kept whether `strict` or not."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None
    description: Annotated[str, Field(max_length=10_000)] | None = None


class PlainText(Body):
    """Any text."""

    type: Literal["text"]


class JsonObject(Body):
    """Any JSON object, nested three deep at most."""

    type: Literal["json_object"]


class JsonSchema(Body):
    """JSON that a schema allows."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


class StructuredOutputs(Body):
    """What a text matches, as vLLM names it: exactly one of these."""

    regex: str | None = None
    choice: Annotated[list[str], Field(min_length=1, max_length=10_000)] | None = None
    json_: str | dict[str, Any] | None = Field(None, alias="json")
    json_object: bool | None = None

    def wanted(self) -> WantedConstraint:
        """The constraint. Raises: Problem where it is not exactly one."""
        field, given = "structured_outputs", self.model_dump(exclude_none=True, by_alias=True)
        if len(given) != 1 or given.get("json_object") is False:
            raise Problem(400, f"{field} should have one of regex, choice, json, and json_object: true", field)
        if self.regex is not None:
            return WantedConstraint("regex", self.regex, f"{field}.regex")
        if self.choice is not None:
            return WantedConstraint("choice", tuple(self.choice), f"{field}.choice")
        return WantedConstraint.of_schema(
            ANY_OBJECT if self.json_ is None else self.json_, f"{field}.{next(iter(given))}"
        )


class Draws(Body):
    """How tokens are drawn, and what the text matches."""

    temperature: float = Field(1.0, ge=0, le=100, allow_inf_nan=False)
    top_p: float = Field(1.0, gt=0, le=1, allow_inf_nan=False)
    top_k: int = Field(0, ge=0, le=10**9)
    min_p: float = Field(0.0, ge=0, lt=1, allow_inf_nan=False)
    repetition_penalty: float = Field(1.0, gt=0, le=100, allow_inf_nan=False)
    seed: int | None = Field(None, ge=-LARGEST_SEED, le=LARGEST_SEED)
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    ban: Annotated[list[Stop], Field(max_length=256)] | None = None
    logit_bias: Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)] | None = None
    presence_penalty: float = Field(0.0, ge=0, le=0, description="Not supported: 0 alone.")
    frequency_penalty: float = Field(0.0, ge=0, le=0, description="Not supported: 0 alone.")
    user: str | None = Field(None, description="Is ignored.")
    structured_outputs: StructuredOutputs | None = None

    def wanted(self) -> WantedConstraint | None:
        """What the text has to match; None: anything. Raises: Problem where two things are asked for."""
        return None if self.structured_outputs is None else self.structured_outputs.wanted()

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return () if self.stop is None else (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    def drawing(self, model: ServedModel) -> Drawing:
        """The same for the scheduler. Raises: Problem for a bias or a ban of what the vocabulary does not have."""
        sampling = Sampling(self.temperature, self.top_k, self.top_p, self.min_p, self.repetition_penalty)
        try:
            ban = banned_ids(model.tokenizer, BANNED if self.ban is None else self.ban)
        except (ConfigError, DataError) as error:
            raise Problem(400, str(error), "ban") from None
        if len({one[0] for one in ban if len(one) == 1}) == model.tokenizer.size:
            raise Problem(400, "every token is banned", "ban")
        return Drawing(sampling, tuple(tuple(one) for one in ban), self._bias(model))

    def _bias(self, model: ServedModel) -> tuple[tuple[int, float], ...]:
        found = []
        for key, value in (self.logit_bias or {}).items():
            if not (key.isascii() and key.isdigit() and len(key) < 10 and int(key) < model.tokenizer.size):
                raise Problem(400, f"there is no token {key[:20]!r}", "logit_bias")
            found.append((int(key), value))
        return tuple(sorted(found))


class FormattedDraws(Draws):
    """The same with the form of the text, as the routes for completions have it."""

    response_format: Annotated[PlainText | JsonObject | JsonSchema, Field(discriminator="type")] | None = None

    def wanted(self) -> WantedConstraint | None:
        """What the text has to match; None: anything. Raises: Problem where two things are asked for."""
        form, found = self.response_format, super().wanted()
        if form is None or isinstance(form, PlainText):
            return found
        refuse_two(found, "response_format")
        if isinstance(form, JsonObject):
            return WantedConstraint.of_schema(ANY_OBJECT, "response_format")
        return WantedConstraint.of_schema(form.json_schema.schema_, "response_format.json_schema.schema")


def refuse_two(found: WantedConstraint | None, field: str) -> None:
    """Raise a Problem where a text has a constraint already."""
    if found is not None:
        raise Problem(400, f"structured_outputs and {field} are two constraints: leave one of them out", field)


class StreamOptions(Body):
    """What a stream ends with."""

    include_usage: bool = False


def finish_reason(finished: str) -> str:
    """Why a text has ended, in OpenAI's words: "stop" where a stop string came or its constraint was complete.

    >>> finish_reason("constraint"), finish_reason("time")
    ('stop', 'length')
    """
    return "stop" if finished in ("stop", "constraint") else "length"


def usage_of(prompt: int, written: int, read: int) -> dict[str, Any]:
    """How many tokens a request has used; `tokens_read` are those that the model ran over for the prompt.

    >>> usage_of(3, 4, 3)["total_tokens"]
    7
    """
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "tokens_read": read,
    }

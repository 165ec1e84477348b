"""/v1/models and /v1/completions."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from secrets import token_hex
from time import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from unspool.generate.constraints import TokenConstraint
from unspool.generate.draws import Drawing
from unspool.generate.jobs import Job, Likely, Piece, Request
from unspool.serve.events import DONE, EventStream, event
from unspool.serve.fields import Count, FormattedDraws, Name, StreamOptions, finish_reason, usage_of
from unspool.serve.merging import merged
from unspool.serve.models import ServedModel
from unspool.serve.problems import Answer, Problem

Ids = Annotated[list[int], Field(min_length=1)]
BUFFER = 256
"""So many pieces wait for a client that reads slowly before its texts pause."""


class CompletionBody(FormattedDraws):
    """The body of /v1/completions."""

    model: Name
    prompt: str | list[int] | list[str] | list[Ids] = ""
    max_tokens: int | None = Field(16, ge=0, le=10**9)
    n: Count = 1
    best_of: Count | None = None
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: bool = False
    stream: bool = False
    stream_options: StreamOptions | None = None
    suffix: Literal[None] = None

    @property
    def length(self) -> int:
        """How many tokens each text has at most."""
        return 16 if self.max_tokens is None else self.max_tokens

    @property
    def count(self) -> int:
        """How many texts are generated of each prompt."""
        return max(self.n, self.best_of or 1)

    @property
    def prompts(self) -> list[str | list[int]]:
        """One prompt or several, as a list."""
        given = self.prompt
        if isinstance(given, str) or (given and isinstance(given[0], int)):
            return [given]
        return list(given)  # type: ignore[arg-type]


def router_of(models: Mapping[str, ServedModel]) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/v1/models")
    async def list_models() -> Response:
        """Every model by name."""
        return Answer({"object": "list", "data": [described(one) for one in models.values()]})

    @router.get("/v1/models/{name}")
    async def show_model(name: str) -> Response:
        """One model."""
        return Answer(described(known(models, name)))

    @router.post("/v1/completions")
    async def complete(body: CompletionBody) -> Response:
        """Go on with one or several prompts."""
        model = known(models, body.model)
        check(body)
        drawing = body.drawing(model)
        constraint = await model.constraint(body.wanted(), drawing)
        requests = [await request_of(model, body, prompt, drawing, constraint) for prompt in body.prompts]
        jobs = submit_all(model, requests)
        answering = Answering(model, body, jobs)
        if body.stream:
            return EventStream(answering.stream())
        return Answer(await answering.answer())

    return router


def known(models: Mapping[str, ServedModel], name: str) -> ServedModel:
    """The model of a name. Raises: Problem where there is none."""
    if name not in models:
        raise Problem(404, "there is no model of that name: see /v1/models", "model", "model_not_found")
    return models[name]


def described(model: ServedModel) -> dict[str, Any]:
    """A model as /v1/models lists it."""
    kind = "text" if model.bridge is not None else "predictions"
    return {"id": model.name, "object": "model", "created": model.created, "owned_by": "unspool", "writes": kind}


def check(body: CompletionBody) -> None:
    """Raise a Problem where fields do not go together."""
    if not body.prompts:
        raise Problem(400, "there is no prompt in the list", "prompt")
    if body.best_of is not None and body.best_of < body.n:
        raise Problem(400, f"best_of is less than n, {body.n}", "best_of")
    if body.stream and body.count > body.n:
        raise Problem(400, "best_of knows the best at the end alone, so it cannot be streamed", "best_of")
    if body.stream_options is not None and not body.stream:
        raise Problem(400, "stream_options goes with stream", "stream_options")


async def request_of(
    model: ServedModel,
    body: CompletionBody,
    prompt: str | list[int],
    drawing: Drawing,
    constraint: TokenConstraint | None,
) -> Request:
    """The request for one prompt."""
    if isinstance(prompt, str):
        ids, before = await model.encode(prompt)
    else:
        model.refuse_unknown(prompt)
        ids, before = prompt, model.before(prompt)
    ranked = body.count > body.n
    return Request(
        ids,
        length=body.length,
        drawing=drawing,
        seed=body.seed,
        stop=body.stops,
        count=body.count,
        before=before,
        top=body.logprobs if body.logprobs is not None else 0 if ranked else -1,
        echo=body.echo and body.logprobs is not None,
        buffer=BUFFER * body.count if body.stream else 0,
        constraint=constraint,
    )


def submit_all(model: ServedModel, requests: Sequence[Request]) -> list[Job]:
    """Submit several requests, or none of them."""
    jobs: list[Job] = []
    try:
        for request in requests:
            jobs.append(model.writer.submit(request))
    except Exception:
        for job in jobs:
            job.cancel()
        raise
    return jobs


@dataclass
class Scores:
    """The "logprobs" of a choice, in the form of /v1/completions."""

    tokens: list[str] = field(default_factory=list)
    token_logprobs: list[float | None] = field(default_factory=list)
    top_logprobs: list[dict[str, float] | None] = field(default_factory=list)
    text_offset: list[int] = field(default_factory=list)

    def add(self, model: ServedModel, id: int, before: int | None, value: float | None, top: Likely, at: int) -> int:
        """Add a token whose text begins at a place; where it ends comes back."""
        own = shown(model, id, before)
        self.tokens.append(own)
        self.token_logprobs.append(value)
        best: dict[str, float] = {}
        for one, score in top:
            best.setdefault(shown(model, one, before), score)
        self.top_logprobs.append(best if top else None)
        self.text_offset.append(at)
        return at + len(own)

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dict(vars(self))


def shown(model: ServedModel, id: int, before: int | None) -> str:
    """The text of one token; a part of a character is spelt as backslash escapes."""
    return model.tokenizer.piece(id, before).decode("utf-8", "backslashreplace")


class Choice:
    """One text of an answer while it comes.

    Args:
        model: that generates it.
        body: what was asked.
        job: which it belongs to.
        index: its number in the answer.
    """

    def __init__(self, model: ServedModel, body: CompletionBody, job: Job, index: int) -> None:
        self.model, self.body, self.job, self.index = model, body, job, index
        self.offset, self.total, self.tokens = 0, 0.0, 0
        self.before = job.request.before
        self.began = False

    def add(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        """The next part of the text, as an answer holds it."""
        text, scores = "", Scores()
        if not self.began:
            self.began, text = True, self._echo(scores)
        for piece in pieces:
            text += piece.text
            if piece.id is not None:
                self.tokens += 1
                self.total += piece.log_probability or 0.0
                if self.body.logprobs is not None:
                    value, top = piece.log_probability, piece.top
                    self.offset = scores.add(self.model, piece.id, self.before, value, top, self.offset)
                self.before = piece.id
        finished = pieces[-1].finished if pieces else ""
        return {
            "index": self.index,
            "text": text,
            "logprobs": scores.as_dict() if self.body.logprobs is not None else None,
            "finish_reason": finish_reason(finished) if finished else None,
        }

    def _echo(self, scores: Scores) -> str:
        """The prompt, where it is wanted."""
        if not self.body.echo:
            return ""
        ids, before = list(self.job.request.ids), None
        if self.body.logprobs is not None:
            for id, (value, top) in zip(ids, self.job.prompt_scores, strict=True):
                self.offset = scores.add(self.model, id, before, value, top, self.offset)
                before = id
        return self.model.tokenizer.decode(ids)


class Answering:
    """The answer to one request while it comes.

    Args:
        model: that generates.
        body: what was asked.
        jobs: one for each prompt.
    """

    def __init__(self, model: ServedModel, body: CompletionBody, jobs: Sequence[Job]) -> None:
        self.model, self.body, self.jobs = model, body, jobs
        self.head = {"id": f"cmpl-{token_hex(12)}", "object": "text_completion", "created": int(time())}
        self.head["model"] = model.name
        self.choices = [
            [Choice(model, body, job, number * body.n + row) for row in range(body.count)]
            for number, job in enumerate(jobs)
        ]

    def usage(self) -> dict[str, Any]:
        """What all prompts and texts together have used."""
        prompt, read = sum(len(job.request.ids) for job in self.jobs), sum(job.tokens_read for job in self.jobs)
        return usage_of(prompt, sum(job.tokens_written for job in self.jobs), read)

    async def answer(self) -> dict[str, Any]:
        """The answer at the end."""
        found: list[list[list[Piece]]] = [[[] for _ in range(self.body.count)] for _ in self.jobs]
        async with aclosing(merged(self.model.writer, self.jobs)) as parts:
            async for number, pieces in parts:
                for piece in pieces:
                    found[number][piece.row].append(piece)
        choices = []
        for number, rows in enumerate(found):
            made = [(choice, choice.add(rows[row])) for row, choice in enumerate(self.choices[number])]
            if self.body.count > self.body.n:
                made.sort(key=lambda one: -one[0].total / max(1, one[0].tokens))
                made = made[: self.body.n]
            choices += [{**answer, "index": number * self.body.n + place} for place, (_, answer) in enumerate(made)]
        return {**self.head, "choices": choices, "usage": self.usage()}

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The answer in parts, as they come."""
        async with aclosing(merged(self.model.writer, self.jobs)) as parts:
            async for number, pieces in parts:
                for row, choice in enumerate(self.choices[number]):
                    own = [piece for piece in pieces if piece.row == row]
                    if own:
                        yield event({**self.head, "choices": [choice.add(own)]})
        if self.body.stream_options is not None and self.body.stream_options.include_usage:
            yield event({**self.head, "choices": [], "usage": self.usage()})
        yield DONE

"""The writing page: an editor whose text a model reads as it is typed, and goes on with."""

import math
from contextlib import AbstractContextManager
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, Any

from unspool.data.keypad import KeyDictionary, words_of
from unspool.errors import UnspoolError
from unspool.generate.engine import Engine
from unspool.generate.suggest import TYPED, Suggestion
from unspool.generate.text import read_prompt
from unspool.models.sequence import SequenceModel
from unspool.runs.run import Run, describe, engine_of
from unspool.serve import editor_requests as ask
from unspool.serve.activity import Place, places_of
from unspool.serve.document import Document, Shown
from unspool.serve.editor_endpoints import endpoints
from unspool.serve.editor_requests import Refusal, answering
from unspool.serve.open_documents import OpenDocuments
from unspool.serve.switches import Switch
from unspool.serve.writing import LONGEST, offers, words_on_keys

if TYPE_CHECKING:
    from fastapi import APIRouter

GONE = "this document is not open any more: send its text again"


class Writing:
    """What the endpoints share: the run, what can be shown of its model, and the open documents."""

    def __init__(self, run: Run, lock: AbstractContextManager[Any]) -> None:
        self.run, self.lock, self.model = run, lock, twin(run.model)
        self.documents = OpenDocuments(self._empty)

    @cached_property
    def weights(self) -> str:
        """The fingerprint of the model."""
        return engine_of(self.run).weights

    @cached_property
    def places(self) -> list[Place]:
        """What can be shown of the model, and forced."""
        engine = Engine(self.model, self.weights)
        with self.lock:
            return places_of(engine, read_prompt(engine, self.run.tokenizer))

    @cached_property
    def known(self) -> KeyDictionary:
        """The words of the run's training text, where it is still there."""
        from unspool.runs.loading import load_data

        try:
            data = load_data(self.run.recipe, self.run.checkpoint.run).train if self.run.checkpoint else ""
        except UnspoolError:
            return KeyDictionary([])
        return KeyDictionary(words_of(data if isinstance(data, str) else "\n".join(data)))

    def about(self) -> dict[str, Any]:
        """What the page has to know before it begins; "error" where the run does not write."""
        named = {"name": self.run.name, "model": describe(self.run), "task": self.run.recipe["task"]["kind"]}
        try:
            places = [place.as_dict() for place in self.places]
        except UnspoolError as error:
            return named | {"error": str(error), "hint": error.hint}
        sample = self.run.recipe.get("sample", {})
        prompt = str(sample.get("prompt", ""))
        chosen = {"prompt": prompt if prompt.strip() else "", "temperature": float(sample.get("temperature", 0.8))}
        return named | chosen | {"longest": LONGEST, "places": places}

    def look(self, asked: ask.Look) -> Shown:
        """What is to be shown. Raises: Refusal for what is not there."""
        if not asked.place:
            return Shown(asked.layer)
        place = self.place(asked.place, asked.unit)
        if place.kind == "attention":
            raise Refusal(400, f"{asked.place} is no value of a unit", hint="choose its layer")
        return Shown(asked.layer, place, asked.unit)

    def place(self, path: str, unit: int) -> Place:
        """A place by its path. Raises: Refusal where it has no such unit."""
        place = next((one for one in self.places if one.path == path), None)
        if place is None:
            raise Refusal(400, f"the model shows nothing at {path!r}", hint="GET /editor/about lists what it shows")
        if unit >= place.size:
            raise Refusal(400, f"{place.name} has units 0 to {place.size - 1}, not {unit}")
        return place

    def switch(self, asked: ask.OneSwitch, length: int) -> Switch:
        """A switch where the text has so many characters. Raises: Refusal for what cannot be forced."""
        self.place(asked.place, asked.unit)
        begin, end = (length if asked.begin is None else asked.begin), (length if asked.released else asked.end)
        return Switch(asked.place, asked.unit, asked.value, min(begin, length), end)

    def document(self, id: str) -> Document:
        """An open document. Raises: Refusal where it is closed."""
        found = self.documents.find(id)
        if found is None:
            raise Refusal(404, GONE, "closed")
        return found

    def words(self, document: Document, caret: int, k: int, keys: str = "") -> list[dict[str, Any]]:
        """Suggestions, each with its probability; of letters given those that were typed already."""
        if keys:
            return [
                vars_of(one, None if one.log_probability == -math.inf else math.exp(one.log_probability))
                for one in words_on_keys(document, caret, k, keys, self.known)
            ]
        found = offers(document, caret, k)
        typed, begin = 0.0, TYPED.search(document.text[:caret]).start()
        first, last = document.place_of(begin), document.place_of(caret)
        if last - first == caret - begin:  # a token a letter
            typed = -math.log(2) * float(document.bits.rows[first:last].sum())
        chances = [min(1.0, math.exp(min(0.0, one.log_probability - typed))) for one in found]
        return [vars_of(one, chance) for one, chance in zip(found, chances, strict=True)]

    def _empty(self) -> Document:
        return Document(Engine(self.model, self.weights), self.run.tokenizer, self.places, self.lock)


def twin(model: SequenceModel) -> SequenceModel:
    """The same model with watchers of its own; the weights are shared, so it takes no memory.

    >>> from unspool import Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> other = twin(model)
    >>> other.core is model.core, other.head.weight is model.head.weight
    (False, True)
    """
    return deepcopy(model, {id(value): value for value in (*model.parameters(), *model.buffers())})


def vars_of(one: Suggestion, probability: float | None) -> dict[str, Any]:
    """A suggestion as the page reads it; a word of which the model says nothing has no probability."""
    return {"word": one.word, "rest": one.rest, "probability": None if probability is None else round(probability, 5)}


def editor(run: Run, lock: AbstractContextManager[Any]) -> "APIRouter":
    """The writing page at `/` and what it asks at `/editor/...`.

    Args:
        run: whose model reads and writes; one that does not write gets a page that says what to use instead.
        lock: is held while the model runs for a page, so that pages take turns. Others may run the model meanwhile:
            what the page watches and forces is its own.

    Returns:
        A router that answers errors of the user with 4xx and {"error": {"message": ...}}.

    >>> import threading
    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> core = cores.build("core", {"kind": "recurrent", "width": 8})
    >>> model = SequenceModel(embedding(Tokens(256), 8), core, head(Tokens(256), 8))
    >>> run = Run(model, tokenizers.build("tokenizer", "byte"))
    >>> sorted({route.path for route in editor(run, threading.Lock()).routes})[:3]
    ['/', '/editor/about', '/editor/documents']
    """
    from fastapi import APIRouter

    router = APIRouter(include_in_schema=False)
    for method, path, function in endpoints(Writing(run, lock)):
        router.add_route(path, answering(function), [method])
    return router

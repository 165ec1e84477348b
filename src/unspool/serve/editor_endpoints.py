"""The endpoints of the writing page."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from unspool.generate.sampling import Sampling
from unspool.generate.suggest import TYPED
from unspool.serve import editor_requests as ask
from unspool.serve.editor_requests import Answer, Refusal, parsed
from unspool.serve.tune_notes import notes_at
from unspool.serve.writing import LONGEST, write

if TYPE_CHECKING:
    from starlette.requests import Request

    from unspool.serve.editor import Writing

KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:"
POLICY += "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


def endpoints(writing: "Writing") -> Iterator[tuple[str, str, Answer]]:
    """Method, path and function of every endpoint."""
    yield from page_endpoints(writing)
    yield from document_endpoints(writing)
    yield from moving_endpoints(writing)


def page_endpoints(writing: "Writing") -> Iterator[tuple[str, str, Answer]]:
    """The page, its files, what it has to know, and the notes of a tune."""
    from starlette.concurrency import run_in_threadpool as apart
    from starlette.responses import Response

    async def page(request: "Request") -> Any:
        name = request.path_params.get("name", "index.html")
        found = page_file(name)
        if found is None:
            raise Refusal(404, f"the page has no file {name[:80]!r}")
        return Response(found[0], media_type=found[1], headers=HEADERS)

    async def about(request: "Request") -> Any:
        return await apart(writing.about)

    async def notes(request: "Request") -> Any:
        asked = await parsed(request, ask.Notes)
        return await apart(notes_at, asked.text, asked.caret)

    yield "GET", "/", page
    yield "GET", "/page/{name}", page
    yield "GET", "/editor/about", about
    yield "POST", "/editor/notes", notes


def document_endpoints(writing: "Writing") -> Iterator[tuple[str, str, Answer]]:
    """Open, edit, replace and close a document."""
    from starlette.concurrency import run_in_threadpool as apart

    def opened(asked: ask.Opened) -> dict[str, Any]:
        look = writing.look(asked.look)
        id, document = writing.documents.open()
        document.show(look)
        return document.edit(0, 0, asked.text) | {"id": id}

    def edited(id: str, asked: ask.Edit) -> dict[str, Any]:
        document = writing.document(id)
        with document.lock:
            document.stop()
            length = len(document.text)
            if asked.length != length:
                raise Refusal(409, f"the text has {length} characters here, not {asked.length}", "out_of_step")
            if asked.start + asked.removed > length:
                raise Refusal(400, f"the edit ends behind the text, which has {length} characters")
            if length - asked.removed + len(asked.inserted) > LONGEST:
                raise Refusal(413, f"the text would be longer than {LONGEST:,} characters")
            wanted = asked.suggestions and asked.caret is not None
            caret = min(asked.caret or 0, length - asked.removed + len(asked.inserted))
            text = document.text[: asked.start] + asked.inserted
            pause = TYPED.search(text[:caret]).start() if wanted and caret <= len(text) else None
            answer = document.edit(asked.start, asked.removed, asked.inserted, pause)
            if wanted:
                read = document.engine.tokens_run
                answer["suggestions"] = writing.words(document, caret, asked.suggestions)
                answer["tokens_read"] += document.engine.tokens_run - read
            return answer

    def replaced(id: str, asked: ask.Opened) -> dict[str, Any]:
        document = writing.document(id)
        look = writing.look(asked.look)
        with document.lock:
            document.show(look)
            return document.edit(0, len(document.text), asked.text)

    async def post(request: "Request") -> Any:
        return await apart(opened, await parsed(request, ask.Opened))

    async def edit(request: "Request") -> Any:
        return await apart(edited, request.path_params["id"], await parsed(request, ask.Edit))

    async def put(request: "Request") -> Any:
        return await apart(replaced, request.path_params["id"], await parsed(request, ask.Opened))

    async def delete(request: "Request") -> Any:
        if not writing.documents.close(request.path_params["id"]):
            writing.document(request.path_params["id"])
        return {"closed": True}

    yield "POST", "/editor/documents", post
    yield "PUT", "/editor/documents/{id}", put
    yield "DELETE", "/editor/documents/{id}", delete
    yield "POST", "/editor/documents/{id}/edit", edit


def moving_endpoints(writing: "Writing") -> Iterator[tuple[str, str, Answer]]:
    """Write, stop, look, switch and suggest."""
    from starlette.concurrency import run_in_threadpool as apart
    from starlette.responses import StreamingResponse

    async def stream(request: "Request") -> Any:
        document, asked = writing.document(request.path_params["id"]), await parsed(request, ask.Write)
        sampling = Sampling(asked.temperature, top_p=asked.top_p)
        events = write(document, asked.length, sampling, asked.seed, asked.pace)
        return StreamingResponse(lines(events), media_type="application/x-ndjson")

    async def stop(request: "Request") -> Any:
        document = writing.document(request.path_params["id"])
        document.stop()
        return {"stopped": True}

    async def look(request: "Request") -> Any:
        document, asked = writing.document(request.path_params["id"]), await parsed(request, ask.Look)
        return await apart(document.show, writing.look(asked))

    def switched(id: str, asked: ask.Switches) -> dict[str, Any]:
        document = writing.document(id)
        with document.lock:
            return document.switch([writing.switch(one, len(document.text)) for one in asked.switches])

    async def switch(request: "Request") -> Any:
        return await apart(switched, request.path_params["id"], await parsed(request, ask.Switches))

    async def offer(request: "Request") -> Any:
        document, asked = writing.document(request.path_params["id"]), await parsed(request, ask.Offer)
        caret = min(asked.caret, len(document.text))
        return {"suggestions": await apart(writing.words, document, caret, asked.suggestions, asked.keys)}

    yield "POST", "/editor/documents/{id}/write", stream
    yield "POST", "/editor/documents/{id}/stop", stop
    yield "PUT", "/editor/documents/{id}/look", look
    yield "PUT", "/editor/documents/{id}/switches", switch
    yield "POST", "/editor/documents/{id}/offers", offer


def page_file(name: str) -> tuple[str, str] | None:
    """A file of the page and its type; None where it has none of that name.

    >>> page_file("index.html")[1], page_file("../editor.py")
    ('text/html', None)
    """
    folder = files("unspool.serve").joinpath("page")
    names = {one.name for one in folder.iterdir()}
    kind = KINDS.get(name.rpartition(".")[2])
    return (folder.joinpath(name).read_text(encoding="utf-8"), kind) if name in names and kind else None


def lines(events: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Events as JSON, one a line."""
    for event in events:
        yield json.dumps(event, allow_nan=False, separators=(",", ":")) + "\n"

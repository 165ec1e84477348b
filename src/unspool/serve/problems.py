"""Errors as OpenAI's API writes them: {"error": {"message", "type", "param", "code"}}, with a 4xx status."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from unspool.errors import BusyError, LimitError, UnspoolError

SHOWN = 200
"""So many characters of somebody's own words an error repeats."""
NAMES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "server_error",
}


class Answer(JSONResponse):
    """JSON; what is no Unicode character (half of a surrogate pair) becomes a question mark."""

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return to_json(content).encode("utf-8", "replace")


def to_json(content: Any) -> str:
    """Compact JSON.

    >>> to_json({"text": "é"})
    '{"text":"é"}'
    """
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Problem(Exception):
    """An error that is answered with a status of its own.

    Args:
        status: of HTTP, 4xx.
        message: what happened.
        param: the field that it is about.
        code: a word that a program can look for.
    """

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def answer(self) -> Answer:
        """The error as a response."""
        return problem(self.status, self.message, self.param, self.code)


def problem(status: int, message: str, param: str | None = None, code: str | None = None) -> Answer:
    """An error as a response.

    >>> problem(404, "there is no model x", "model").body
    b'{"error":{"message":"there is no model x","type":"not_found_error","param":"model","code":null}}'
    """
    headers = {429: {"retry-after": "1"}, 401: {"www-authenticate": "Bearer"}}.get(status)
    return Answer({"error": error_of(status, message, param, code)}, status, headers)


def error_of(status: int, message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The error itself.

    >>> error_of(400, "no")["type"]
    'invalid_request_error'
    """
    return {"message": message, "type": NAMES.get(status, NAMES[400]), "param": param, "code": code}


def as_problem(error: UnspoolError) -> Problem:
    """An error of the package with the status that suits it.

    >>> as_problem(LimitError("too long")).status, as_problem(BusyError("later")).status
    (413, 429)
    """
    status = 413 if isinstance(error, LimitError) else 429 if isinstance(error, BusyError) else 400
    hint = f"; {error.hint}" if error.hint and isinstance(error, LimitError | BusyError) else ""
    return Problem(status, f"{error}{hint}"[: 10 * SHOWN])


def place_of(parts: Sequence[int | str], body: Any) -> list[int | str]:
    """Where in a body a field is: pydantic also names the alternative that it has tried.

    >>> place_of(["format", "json_schema", "name"], {"format": {"type": "json_schema"}})
    ['format', 'name']
    """
    found: list[int | str] = []
    for number, part in enumerate(parts, start=1):
        listed = isinstance(body, list) and isinstance(part, int) and part < len(body)
        inside = listed or (isinstance(body, dict) and part in body)
        if inside or number == len(parts):
            found.append(part)
            body = body[part] if inside else None
    return found


def handle_problems(app: FastAPI) -> None:
    """Let an app answer every error in this form."""

    @app.exception_handler(Problem)
    async def own(request: Request, error: Problem) -> Answer:
        return error.answer()

    @app.exception_handler(UnspoolError)
    async def of_the_package(request: Request, error: UnspoolError) -> Answer:
        return as_problem(error).answer()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Answer:
        first = error.errors()[0]
        place = ".".join(map(str, place_of(first["loc"][1:], error.body)))[:SHOWN]
        if first["type"] == "json_invalid":
            return problem(400, "the body is not valid JSON", code="invalid_json")
        if first["type"] == "extra_forbidden":
            return problem(400, f"{place} is not supported", place, "unsupported_parameter")
        what = str(first["msg"])[:SHOWN]
        return problem(400, f"{place}: {what[:1].lower()}{what[1:]}" if place else what, place or None)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Answer:
        known = {404: "there is nothing at this path", 405: "this path does not know that method"}
        detail = known.get(error.status_code, str(error.detail))
        return problem(error.status_code, detail if error.status_code != 400 else "the body is not valid JSON")

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Answer:
        return problem(500, f"an error of the server: {type(error).__name__}")

"""What the writing page asks of the server, checked, and how it is refused."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unspool.errors import UnspoolError
from unspool.serve.writing import LONGEST

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

BODY = 12 * LONGEST + 2**16
"""Bytes of a request: a text of the greatest length with every character escaped twice."""
SWITCHES = 4096

Place = Annotated[int, Field(ge=0, le=LONGEST)]
Text = Annotated[str, Field(max_length=LONGEST)]
Wanted = TypeVar("Wanted", bound="Body")


class Body(BaseModel):
    """The body of a request: JSON with these fields and no others."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Look(Body):
    """What a page looks at: the layer that moves, and the unit of a place that colours the text; "": none."""

    layer: Annotated[str, Field(max_length=200)] = ""
    place: Annotated[str, Field(max_length=200)] = ""
    unit: Annotated[int, Field(ge=0)] = 0


class Opened(Body):
    """Open a document with this text."""

    text: Text = ""
    look: Look = Look()


class Edit(Body):
    """Replace `removed` characters at `start`; `length` is that of the text before, so that nobody is out of step."""

    length: Place
    start: Place
    removed: Place = 0
    inserted: Text = ""
    caret: Place | None = None  # suggestions are wanted for what comes before it
    suggestions: Annotated[int, Field(ge=0, le=20)] = 0


class Offer(Body):
    """Suggest words before `caret`; with `keys` those on the keys of a phone."""

    caret: Place
    suggestions: Annotated[int, Field(ge=1, le=20)] = 5
    keys: Annotated[str, Field(max_length=24, pattern=r"^[0-9]*$")] = ""


class Write(Body):
    """Go on with the text; the options are those of `unspool sample`."""

    length: Annotated[int, Field(ge=1, le=5000)] = 400
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    pace: Annotated[float, Field(ge=0, le=10_000)] = 0.0


class OneSwitch(Body):
    """A unit of a place that is held at a value from a character on; None: from here on, and for all that comes."""

    place: Annotated[str, Field(max_length=200)]
    unit: Annotated[int, Field(ge=0)]
    value: Annotated[float, Field(ge=-1, le=1)] = 0.0
    begin: Place | None = None
    end: Place | None = None
    released: bool = False  # it ends here


class Switches(Body):
    """All units that are forced."""

    switches: Annotated[list[OneSwitch], Field(max_length=SWITCHES)]


class Notes(Body):
    """Read the tune at a place."""

    text: Text
    caret: Place


class Refusal(Exception):
    """A request that cannot be answered: the status, and why in one sentence."""

    def __init__(self, status: int, message: str, code: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.hint = status, code, hint


async def parsed(request: "Request", wanted: type[Wanted]) -> Wanted:
    """The body of a request.

    Raises:
        Refusal: it is too long, or not what is wanted.
    """
    kept = bytearray()
    async for part in request.stream():
        kept += part
        if len(kept) > BODY:
            raise Refusal(413, f"the request is longer than {BODY:,} bytes: a text may have {LONGEST:,} characters")
    try:
        return wanted.model_validate_json(bytes(kept) or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Refusal(400, f"{where or 'the body'}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


def refused(error: Refusal | UnspoolError) -> "Response":
    """An error as the page reads it."""
    from starlette.responses import JSONResponse

    status, code = (error.status, error.code) if isinstance(error, Refusal) else (400, "")
    content = {"message": str(error), "type": "invalid_request_error", "param": None, "code": code or None}
    return JSONResponse({"error": content | {"hint": error.hint}}, status)


Answer = Callable[["Request"], Awaitable[Any]]


def answering(function: Answer) -> Answer:
    """The same endpoint with its answers and its errors as JSON."""

    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response

    async def answered(request: Any) -> Any:
        try:
            if request.headers.get("sec-fetch-site") == "cross-site" and request.method != "GET":
                raise Refusal(403, "another site may not ask here")
            answer = await function(request)
            return answer if isinstance(answer, Response) else JSONResponse(answer)
        except ClientDisconnect:
            return refused(Refusal(400, "the request broke off"))
        except (Refusal, UnspoolError) as error:
            return refused(error)

    return answered

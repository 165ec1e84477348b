"""/predict, for runs that make one prediction for each input."""

import asyncio
import binascii
import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from unspool.data.predictions import Failure, Prediction
from unspool.data.preprocessors.preprocessor import Record
from unspool.errors import BusyError, UnspoolError
from unspool.pipelines.pipeline import as_record
from unspool.serve.completions import known
from unspool.serve.fields import Body, Name
from unspool.serve.models import ServedModel
from unspool.serve.problems import Answer, Problem
from unspool.serve.settings import Settings

Number = Annotated[float, Field(allow_inf_nan=False)]
Value = str | int | Number | list[str | int | Number] | None
WAITING = 16
"""So many calls wait for one model."""


class PredictBody(Body):
    """The body of POST /predict.

    An input is a text, or fields by name. Of images and sounds it is the content of the file: {"base64": "..."}.
    """

    model: Name
    inputs: Annotated[list[str | dict[str, Value]], Field(min_length=1)]
    top: int = Field(0, ge=0, le=10**6, description="So many labels, fills or alternatives; 0 is all.")


def router_of(models: Mapping[str, ServedModel], settings: Settings) -> APIRouter:
    """The routes."""
    router, waiting = APIRouter(), dict.fromkeys(models, 0)

    @router.post("/predict")
    async def predict(body: PredictBody) -> Response:
        """A prediction for each input, in order; {"error": ...} for one that cannot be used."""
        model = known(models, body.model)
        model.predictor  # noqa: B018 (it refuses models that go on with text)
        if len(body.inputs) > settings.inputs:
            raise Problem(
                413, f"there are {len(body.inputs):,} inputs, and at most {settings.inputs:,} are allowed", "inputs"
            )
        if waiting[model.name] >= WAITING:
            raise BusyError(f"{WAITING} calls wait for this model", hint="try again in a while")
        waiting[model.name] += 1
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(model.worker, predicted, model, body.inputs, body.top)
        finally:
            waiting[model.name] -= 1
        return Answer({"object": "predictions", "model": model.name, "predictions": found})

    return router


def predicted(model: ServedModel, inputs: Sequence[Any], top: int) -> list[dict[str, Any]]:
    """What the pipeline of a model says of some inputs."""
    records = [record_of(model, one) for one in inputs]
    try:
        found = list(model.predictor.predict(records))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, UnspoolError):
        found = [alone(model, record) for record in records]
    return [as_json(shortened(one, top)) for one in found]


def alone(model: ServedModel, record: Record | Failure) -> Prediction:
    """One record by itself: where something among many is of the wrong kind, the others should not suffer."""
    try:
        return next(iter(model.predictor.predict([record])))
    except UnspoolError as error:
        return Failure(str(error))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return Failure("the input has not the fields or the kinds of values that this model takes")


def record_of(model: ServedModel, given: Any) -> Record | Failure:
    """An input as a record. A name of a file is refused: the files of the server are nobody's business."""
    pipeline = model.predictor
    fields, files = list(pipeline.preprocessor.fields), bool(pipeline.preprocessor.endings)
    if files:
        content = given.get("base64") if isinstance(given, Mapping) else None
        if not isinstance(content, str):
            return Failure('send the content of the file: {"base64": "..."}')
        try:
            return {fields[0]: b64decode(content, validate=True)}
        except (binascii.Error, ValueError):
            return Failure("this is not base64")
    try:
        return as_record(given, fields, pipeline.columns(model.run.recipe.get("data", {})))
    except UnspoolError as error:
        return Failure(str(error))


def shortened(prediction: Prediction, top: int) -> dict[str, Any]:
    """A prediction as JSON holds it, with the best so many of what it lists."""
    found = prediction.as_dict()
    scores = found.get("scores")
    if top and isinstance(scores, Mapping):
        found["scores"] = dict(sorted(scores.items(), key=lambda one: -one[1])[:top])
    if top and isinstance(found.get("alternatives"), list):
        found["alternatives"] = found["alternatives"][:top]
    return found


def as_json(value: Any) -> Any:
    """A value that JSON can hold: what is not finite becomes null.

    >>> as_json({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if hasattr(value, "tolist"):
        return as_json(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value

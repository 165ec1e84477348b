"""The server as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from threading import Lock

from fastapi import FastAPI
from starlette.responses import Response

from unspool.runs.run import Run
from unspool.serve import chat, completions, predictions, responses, session_routes
from unspool.serve.constraints import Constraints
from unspool.serve.editor import editor
from unspool.serve.guard import Guard
from unspool.serve.models import ServedModel, served_models
from unspool.serve.numbers import Numbers
from unspool.serve.problems import Answer, handle_problems
from unspool.serve.sessions import Sessions
from unspool.serve.settings import Settings
from unspool.serve.store import StateStore


class Server:
    """Everything that a server has: its models, its sessions, its stored states and its numbers.

    Args:
        runs: trained models by the names that requests call them.
        settings: the limits.
    """

    def __init__(self, runs: Mapping[str, Run], settings: Settings | None = None) -> None:
        self.settings, self.numbers = settings or Settings(), Numbers()
        self.states = StateStore(self.settings.states, self.settings.state_bytes, self.settings.keep)
        self.sessions = Sessions(self.settings, self.states)
        self.constraints = Constraints(self.settings.constraint_bytes)
        self.models: dict[str, ServedModel] = served_models(runs, self.settings, self.numbers, self.constraints)
        self.numbers.watch(self._watched)

    @property
    def writers(self) -> list[ServedModel]:
        """The models that go on with text."""
        return [model for model in self.models.values() if model.bridge is not None]

    def stop(self, seconds: float = 0.0) -> None:
        """Let what is under way go on for some seconds, and end every thread."""
        self.constraints.stop()
        for model in self.models.values():
            model.worker.shutdown(wait=False, cancel_futures=True)
        for model in self.writers:
            model.writer.scheduler.stop(seconds)

    def _watched(self) -> Iterable[tuple[str, str, str, dict[str, float]]]:
        schedulers = {model.name: model.writer.scheduler for model in self.writers}
        live = {name: float(one.counts()["live"]) for name, one in schedulers.items()}
        yield "unspool_live_texts", "Texts that are stepped side by side", "model", live
        jobs = {name: float(one.counts()["requests"]) for name, one in schedulers.items()}
        yield "unspool_scheduled_requests", "Requests that wait, read or write", "model", jobs
        steps = {name: float(one.steps) for name, one in schedulers.items()}
        yield "unspool_steps_total", "Steps of all live texts", "model", steps
        held = {"sessions": float(self.sessions.size), "states": float(self.states.size)}
        held["constraints"] = float(self.constraints.size)
        yield "unspool_state_bytes", "Bytes of sessions, of stored states and of constraints", "of", held
        number = {"sessions": float(len(self.sessions)), "states": float(len(self.states))}
        yield "unspool_states", "Sessions and stored states", "of", number


def create_app(server: Server) -> FastAPI:
    """The routes of a server behind its guard; whoever runs it calls `Server.stop` at the end.

    Args:
        server: what is served.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(server.stop, 0.0)

    app = FastAPI(title="Unspool", docs_url=None, redoc_url=None, lifespan=life, redirect_slashes=False)
    handle_problems(app)
    app.include_router(completions.router_of(server.models))
    app.include_router(chat.router_of(server.models))
    app.include_router(responses.router_of(server.models, server.states))
    app.include_router(session_routes.router_of(server.models, server.sessions))
    app.include_router(predictions.router_of(server.models, server.settings))
    first = next(iter(server.writers or server.models.values()))
    app.include_router(editor(first.run, Lock()))

    @app.get("/health")
    async def health() -> Response:
        """Whether the server answers."""
        return Answer({"status": "ok", "models": sorted(server.models)})

    @app.get("/metrics")
    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(server.numbers.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for schema in app.openapi()["components"]["schemas"].values():  # it is made once, and says what models there are
        if "model" in schema.get("properties", {}):
            schema["properties"]["model"]["enum"] = sorted(server.models)
    app.add_middleware(Guard, settings=server.settings, numbers=server.numbers)
    return app

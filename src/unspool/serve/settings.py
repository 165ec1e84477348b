"""What a server takes on, and how it is guarded."""

from dataclasses import dataclass, field
from pathlib import Path

from unspool.generate.jobs import Limits


@dataclass(frozen=True)
class Settings:
    """How a server runs.

    Args:
        limits: of every model's scheduler.
        token: what requests must carry as `Authorization: Bearer TOKEN`; "": nothing.
        hosts: the names that a request may call the server by, so that no web page can reach it under a name of its
            own (DNS rebinding); empty: any.
        states: the folder of stored states; None: they are kept in memory.
        state_bytes: how much they take at most; the oldest go first.
        session_bytes: how much memory all sessions take at most.
        constraint_bytes: how much memory the constraints of all requests take at most.
        keep: seconds after which sessions and stored states that nobody used expire.
        body_bytes: how large the body of a request may be.
        body_seconds: how long it may take to arrive.
        connections: requests that are handled at a time.
        stall_seconds: how long a client may take nothing of what is sent to it.
        inputs: of one call of `/predict`.
        stop_seconds: how long requests may go on when the server is stopped.
    """

    limits: Limits = field(default_factory=Limits)
    token: str = ""
    hosts: tuple[str, ...] = ()
    states: Path | None = None
    state_bytes: int = 2**30
    session_bytes: int = 2**30
    constraint_bytes: int = 2**29
    keep: float = 86_400.0
    body_bytes: int = 8 * 2**20
    body_seconds: float = 20.0
    connections: int = 2048
    stall_seconds: float = 60.0
    inputs: int = 1024
    stop_seconds: float = 10.0

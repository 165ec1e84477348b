"""The verb that serves trained runs over HTTP."""

from importlib import import_module
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.shared import Device, Json, Plugins, app, load_plugins, print_json, run_path, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from unspool.serve.app import Server
    from unspool.serve.settings import Settings

Runs = Annotated[
    list[Path],
    typer.Argument(help="Run folders, or `latest`; requests call each by its name.", metavar="RUNS", parser=run_path),
]
Port = Annotated[int, typer.Option(help="The port; 0 is a free one, which the log says.", min=0, max=65535)]
Token = Annotated[
    Path | None, typer.Option(help="A file with a token, which every request must carry; the page asks for it.")
]
States = Annotated[Path | None, typer.Option(help="A folder for saved sessions and responses; without it: in memory.")]
Megabytes = Annotated[int, typer.Option(help="Of stored states at most, in MB; the oldest go.", min=1, max=10**7)]
Memory = Annotated[int, typer.Option(help="Of sessions, and of the states of live texts, in MB.", min=1, max=10**7)]
Live = Annotated[int, typer.Option(help="Texts that are generated side by side.", min=1, max=10**5)]
Waiting = Annotated[int, typer.Option(help="Requests that wait; more get a 429.", min=0, max=10**6)]
Prompt = Annotated[int, typer.Option(help="Tokens of a prompt at most.", min=1, max=10**9)]
Length = Annotated[int, typer.Option(help="Tokens that a request generates at most.", min=1, max=10**9)]
Seconds = Annotated[float, typer.Option(help="After so long a text ends with what there is.", min=0.1, max=10**6)]
Keep = Annotated[float, typer.Option(help="Seconds after which unused sessions and states expire.", min=1, max=10**9)]
Body = Annotated[int, typer.Option(help="The largest body, in kB.", min=1, max=10**6)]
LOCAL = ("127.0.0.1", "::1", "localhost")


@app.command()
def serve(
    runs: Runs,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Port = 8000,
    token_file: Token = None,
    states: States = None,
    state_megabytes: Megabytes = 1024,
    memory_megabytes: Memory = 1024,
    live: Live = 256,
    waiting: Waiting = 1024,
    max_prompt: Prompt = 100_000,
    max_length: Length = 16_384,
    seconds: Seconds = 600.0,
    keep: Keep = 86_400.0,
    body_kilobytes: Body = 8192,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Serve trained runs over HTTP, as OpenAI's API does and with sessions; Ctrl-C stops it gently.

    Nobody but this machine can reach it unless --host says so. Logs are JSON lines on stderr, without any text.
    With --json the settings and the models are printed before it begins.
    """
    load_plugins(plugin)
    require_packages()
    from unspool.generate.jobs import Limits
    from unspool.serve.settings import Settings

    token = read_token(token_file)
    if host not in LOCAL and not token:
        say(f"anybody who reaches {host}:{port} can use the models: --token-file FILE asks for a token")
    settings = Settings(
        limits=Limits(live, waiting, max_prompt, max_length, seconds, memory_megabytes * 2**20),
        token=token,
        hosts=(*LOCAL, "[::1]") if host in LOCAL else (),
        states=states,
        state_bytes=state_megabytes * 2**20,
        session_bytes=memory_megabytes * 2**20,
        keep=keep,
        body_bytes=body_kilobytes * 1024,
    )
    server = loaded(runs, device, settings)
    if as_json:
        print_json({"host": host, "port": port, "models": sorted(server.models)})
    listen(server, host, port)


def require_packages() -> None:
    """Raise a ConfigError where a package is missing that the server needs."""
    try:
        import_module("unspool.serve.http")
    except ImportError as error:
        raise ConfigError(
            f"the server needs {error.name}", hint="pip install fastapi uvicorn prometheus-client"
        ) from None


def loaded(runs: list[Path], device: str, settings: "Settings") -> "Server":
    """The server of some runs; from here on its log goes to stderr. Raises: ConfigError, CheckpointError."""
    from unspool.runs.run import Run
    from unspool.serve.app import Server
    from unspool.serve.logs import log_to_stderr
    from unspool.serve.models import names_of

    log_to_stderr()
    return Server({name: Run.load(path, device) for name, path in names_of(runs).items()}, settings)


def listen(server: "Server", host: str, port: int) -> None:
    """Serve until a signal comes. Raises: ConfigError where the address cannot be used."""
    from unspool.serve.http import run

    try:
        run(server, host, port)
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {host}:{port}: {error.strerror or error}", hint="choose another --port, or --port 0"
        ) from None
    finally:
        server.stop()


def read_token(file: Path | None) -> str:
    """The token in a file; "" without one. Raises: ConfigError where there is none in it."""
    if file is None:
        return ""
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}", hint="--token-file FILE") from None
    if not found.isascii() or not found.isprintable() or len(found) < 8:
        what = f"{file} should hold a token of at least 8 ASCII characters"
        raise ConfigError(what, hint=f"openssl rand -hex 16 > {quote(str(file))}")
    return found

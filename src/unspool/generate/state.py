"""The state of a model after reading: a value that can be copied, saved and continued from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unspool.data.tokenizer import Tokenizer, save_text
from unspool.errors import CheckpointError
from unspool.files import write_bytes
from unspool.models.sequence import SequenceModel
from unspool.nn.part import CoreState, fill, map_state, refuse_unlike, select, tensors
from unspool.seeds import mix

if TYPE_CHECKING:
    from unspool.generate.engine import Engine

FORMAT = "unspool state 1"
ANOTHER_FILE = "choose another file for the state"
READ_AGAIN = "read the text again with this run, or load the run that wrote the state"


@dataclass(frozen=True, eq=False)
class State:
    """A model's memory after N tokens, and its scores for the token that comes next.

    A state is a value: going on from it never changes it, so several continuations may begin at one state. It has one
    row (B = 1) wherever text is involved; batches of states are used inside the package. For a model of numbers `ids`
    are the inputs (B, N, F) and `logits` the last output of the core (B, W).

    Args:
        core: the tensors of the recurrent cells or the keys and values of attention, nested as the model is.
        logits: scores of the next token.
        ids: every token that was read; the last one tells a word tokenizer whether a space comes next.
        pending: bytes of text that were generated and not yet shown: an unfinished UTF-8 character.
        seed: the random number of the token at position p follows from `seed` and p alone.
        weights: the SHA-256 of the weights and tokenizers; another model refuses the state.
        source: the encoded source (B, S, W) of a model that attends to one.
        source_mask: which places of the source are present.

    >>> from unspool import Tokens, cores, embedding, head
    >>> from unspool.generate.engine import Engine
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> state = Engine(model).read(torch.tensor([[1, 2, 3]]))
    >>> state.position, state.logits.shape
    (3, torch.Size([1, 5]))
    """

    core: CoreState
    logits: Float[Tensor, "B V"]
    ids: Tensor  # (B, N), or (B, N, F) numbers
    pending: bytes = b""
    seed: int = 0
    weights: str = ""
    source: Float[Tensor, "B S W"] | None = None
    source_mask: Bool[Tensor, "B S"] | None = None

    @property
    def position(self) -> int:
        """How many tokens were read."""
        return self.ids.shape[1]

    @property
    def size(self) -> int:
        """How many bytes its tensors take."""
        return sum(value.numel() * value.element_size() for value in self.tensors().values())

    def fork(self) -> "State":
        """A copy that shares no memory with this state."""
        return self._map(lambda value: value.clone(memory_format=torch.contiguous_format))

    def select(self, rows: Int[Tensor, " R"]) -> "State":
        """The state of some rows of the batch, in that order; a row may be repeated."""

        def choose(value: Tensor) -> Tensor:
            return value.index_select(0, rows)

        return replace(self._map(choose, core=False), core=select(self.core, rows))

    def row(self, number: int) -> "State":
        """The state of one row of the batch, which goes on as it would have in the batch."""
        chosen = self.select(torch.tensor([number], device=self.ids.device))
        return replace(chosen, seed=row_seed(self.seed, number))

    def tensors(self) -> dict[str, Tensor]:
        """All its tensors by name, as a file has them: "core.0.1", "logits", "ids"."""
        found = {f"core.{path}": value for path, value in tensors(self.core)}
        found |= {"logits": self.logits, "ids": self.ids}
        source = {"source": self.source, "source_mask": self.source_mask}
        return found | {name: value for name, value in source.items() if value is not None}

    def save(self, path: str | Path) -> None:
        """Write the state to a file, whole or not at all: safetensors, with all that is no tensor in the header.

        Args:
            path: the file; one that exists is replaced.

        Raises:
            CheckpointError: the file cannot be written.

        >>> import tempfile
        >>> from unspool import Tokens, cores, embedding, head
        >>> from unspool.generate.engine import Engine
        >>> core = cores.build("core", "recurrent", width=8)
        >>> engine = Engine(SequenceModel(embedding(Tokens(5), 8), core, head(Tokens(5), 8)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     engine.read(torch.tensor([[1, 2, 3]])).save(f"{folder}/my.state")
        ...     load_state(f"{folder}/my.state", engine).position
        3
        """
        from safetensors.torch import save as encode

        stored = {name: value.detach().cpu().clone().contiguous() for name, value in self.tensors().items()}
        header = {
            "format": FORMAT,
            "position": str(self.position),
            "pending": self.pending.hex(),
            "seed": str(self.seed),
            "weights": self.weights,
            "sha256": digest_of(stored),
        }
        path = Path(path)
        write_bytes(path, encode(stored, header), ANOTHER_FILE)

    def _map(self, function: Any, core: bool = True) -> "State":
        return replace(
            self,
            core=map_state(function, self.core) if core else self.core,
            logits=function(self.logits),
            ids=function(self.ids),
            source=None if self.source is None else function(self.source),
            source_mask=None if self.source_mask is None else function(self.source_mask),
        )

    def __repr__(self) -> str:
        rows = "" if len(self.ids) == 1 else f"{len(self.ids)} rows, "
        pending = f", pending {self.pending!r}" if self.pending else ""
        return f"State({rows}position {self.position:,}, {self.size / 1e3:,.1f} kB, seed {self.seed}{pending})"


def new_seed() -> int:
    """A random seed."""
    return SystemRandom().getrandbits(62)


def row_seed(seed: int, row: int) -> int:
    """The seed of a row of a batch: the row alone with this seed draws what it draws in the batch.

    >>> row_seed(5, 0), row_seed(5, 1) == row_seed(5, 2)
    (5, False)
    """
    return seed if row == 0 else mix(seed, -row)


def model_fingerprint(model: SequenceModel, tokenizers: Mapping[str, Tokenizer] | None = None) -> str:
    """The SHA-256 of a model's weights and of its tokenizers, in hexadecimal.

    >>> from unspool import Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> len(model_fingerprint(model))
    64
    """
    texts = {name: save_text(one) for name, one in sorted((tokenizers or {}).items())}
    return digest_of(model.state_dict(), repr(texts))


def digest_of(values: Mapping[str, Tensor], text: str = "") -> str:
    """The SHA-256 of tensors with their names, types and shapes, and of a text.

    >>> digest_of({"a": torch.zeros(2)}) == digest_of({"a": torch.zeros(1, 2)})
    False
    """
    found = hashlib.sha256(text.encode())
    for name, value in sorted(values.items()):
        value = value.detach().cpu().contiguous()
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def load_state(path: str | Path, engine: "Engine") -> State:
    """The state in a file that `State.save` wrote, for the model of an engine.

    Args:
        path: the file.
        engine: the model that the state is for; the tensors go to its device.

    Returns:
        The state; going on from it gives bit for bit what going on from the saved one would have given.

    Raises:
        CheckpointError: the file is missing or damaged, or belongs to a model with other weights or tokenizers.
    """
    path = Path(path)
    header, values = _read(path)
    try:
        pending, seed = bytes.fromhex(header["pending"]), int(header["seed"])
        weights, checked = header["weights"], header["sha256"]
    except (KeyError, ValueError):
        raise _damaged(path, "its header is not complete") from None
    if weights != engine.weights:
        raise CheckpointError(f"{path} is a state of a model with other weights or tokenizers", hint=READ_AGAIN)
    if checked != digest_of(values):
        raise _damaged(path, "its content does not match its checksum")
    if not {"logits", "ids"} <= values.keys():
        raise _damaged(path, "the logits or the ids are missing")
    values = {name: value.to(engine.model.device) for name, value in values.items()}
    try:
        return _filled(path, engine, values, pending, seed)
    except (RuntimeError, IndexError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise _damaged(path, f"the model cannot go on from it ({reason})") from None


def _filled(path: Path, engine: "Engine", values: dict[str, Tensor], pending: bytes, seed: int) -> State:
    """The tensors in the model's own nest; one step is tried."""
    ids, logits = values["ids"], values["logits"]
    if (
        ids.dim() < 2
        or not ids.shape[1]
        or (ids.dim() == 2 and not 0 <= int(ids.min()) <= int(ids.max()) < logits.shape[-1])
    ):
        raise _damaged(path, "the ids are not those of this model")
    template = engine.template(ids[:1, :1], values.get("source"), values.get("source_mask"))
    refuse_unlike(values, template.tensors() | {"ids": template.ids[:, :0]})
    core = {name.removeprefix("core."): value for name, value in values.items() if name.startswith("core.")}
    state = replace(template, core=fill(template.core, core), logits=logits, ids=ids, pending=pending, seed=seed)
    engine.read(ids[:, -1:], state)
    return state


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and the tensors of a file."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise CheckpointError(f"there is no state {path}", hint="`unspool sample RUN --save-state FILE` writes one")
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file", hint="give the file that --save-state or State.save wrote")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _damaged(path, f"it is not a whole safetensors file ({error})") from None
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a saved state", hint="`State.save` and --save-state write one")
    return header, values


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{path} cannot be used: {reason}", hint=READ_AGAIN)

"""Fine-tuning: a run that begins with the weights of another one."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unspool import build
from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError
from unspool.files import digest
from unspool.formats.folder import is_folder, read_folder
from unspool.models.sequence import SequenceModel
from unspool.nn.core import Core, cores
from unspool.nn.heads import Categorical
from unspool.recipe import Recipe
from unspool.runs.checkpoint import checkpoints, is_step, other_runs
from unspool.runs.run import Run
from unspool.schema import defaults
from unspool.tasks.task import Task


@dataclass(frozen=True)
class Start:
    """A trained model that another run begins with: its tokenizer and its layers, where they mean the same.

    The embedding and the core (and an encoder) are taken. The head is taken where both tasks write the same symbols,
    and is new where the answer is another one, a label say (Howard & Ruder 2018, arXiv:1801.06146; Devlin et al. 2018,
    arXiv:1810.04805).
    """

    path: Path
    recipe: Recipe
    model: SequenceModel
    tokenizers: Mapping[str, Tokenizer]
    digests: Mapping[str, str]  # SHA-256 of the files that the weights are in

    @classmethod
    def load(cls, path: str | Path) -> "Start":
        """The best model of a run folder, or the one in a folder of Hugging Face's."""
        path = Path(path).expanduser().resolve()
        if is_folder(path):
            found = read_folder(path)
            return cls(path, found.recipe, found.model, {"tokenizer": found.tokenizer}, found.digests)
        if not checkpoints(path) and not is_step(path):
            raise no_start(path)
        run = Run.load(path)
        if run.checkpoint is None:
            raise ConfigError(f"{path} is not a run folder", hint="set model.start=RUN")
        names = run.preprocessor.tokenizers if run.preprocessor else ()
        tokenizers = {name: getattr(run.preprocessor, name) for name in names}
        weights = run.checkpoint.path / "model.safetensors"
        place = str(weights.relative_to(run.checkpoint.run))
        return cls(path, run.recipe, run.model, tokenizers, {place: digest(weights)})

    def shared(self, recipe: Recipe) -> dict[str, Tokenizer]:
        """The tokenizers that a run of this recipe takes over; labels are always its own.

        Raises: ConfigError where the start reads other things than text.
        """
        wanted, there = (
            set(names) - {"labels"} for names in (tokenizers_of(build.task_class(recipe)), self.tokenizers)
        )
        if bool(wanted) != bool(there) or wanted - there:
            raise ConfigError(
                f"{self.path} reads {_listed(there) or 'no text'}, and the task wants {_listed(wanted) or 'no text'}",
                hint="start from a run that reads the same sort of thing",
            )
        return {name: self.tokenizers[name] for name in sorted(wanted)}

    def extend(self, recipe: Recipe) -> Recipe:
        """The recipe with what it leaves open as the start has it: its tokenizers, [core], the core within a core."""
        full = {**recipe, "model": {**recipe.get("model", {}), "start": str(self.path)}}
        full |= {name: self.recipe[name] for name in self.shared(recipe) if name in self.recipe}
        full["core"] = self._core(_table(recipe.get("core", {})))
        if "encoder" in self.recipe:
            full.setdefault("encoder", self.recipe["encoder"])
        theirs = self.recipe.get("model", {})
        alike = ("embed", "tied", "transform") if self._same_symbols(build.task_class(recipe)) else ("embed",)
        full["model"] = {name: theirs[name] for name in alike if name in theirs} | full["model"]
        return full

    def _core(self, asked: dict[str, Any]) -> dict[str, Any]:
        own = _table(self.recipe["core"])
        if "kind" not in asked:
            return own | asked
        if "core" in asked or "core" not in defaults(cores.find(asked["kind"])):
            return asked
        inner = own
        while "core" in inner:
            inner = {name: inner[name] for name in ("width", "input_width") if name in inner} | _table(inner["core"])
        widths = {name: inner.pop(name) for name in ("width", "input_width") if name in inner}
        return widths | asked | {"core": inner}

    def _same_symbols(self, task: type[Task]) -> bool:
        """Whether what the task writes is what the start writes."""
        other = build.task_class(self.recipe)
        mine, theirs = tokenizers_of(task), tokenizers_of(other)
        both = mine.keys() & theirs.keys()
        return "labels" not in {*mine, *theirs} and (bool(both) or task is other)

    def hand_over(self, model: SequenceModel, task: Task) -> dict[str, Any]:
        """Put the weights into a new model; what was loaded and what is new, by name, with the digests of the files.

        Raises: ConfigError that names the tensors that do not fit, and their sizes.
        """
        taken_over = tokenizers_of(type(task)).keys() & self.tokenizers.keys() - {"labels"}
        loaded: dict[str, Tensor] = {}
        wrong: list[str] = []
        for name, mine, theirs in self._pairs(model, task):
            by_symbol = bool(taken_over) and isinstance(mine, nn.Embedding | Categorical)
            here, there = mine.state_dict(), theirs.state_dict()
            for key in dict.fromkeys([*here, *there]):
                one, other = here.get(key), there.get(key)
                if by_symbol and one is not None and other is not None:
                    rows = min(len(one), len(other))  # the tokenizer's ids come first, then a task's own, as the mask
                    one, other = one[:rows], other[:rows]
                if one is None or other is None or one.shape != other.shape:
                    wrong.append(f"{name}.{key} is {_size(other)} there and {_size(one)} here")
                else:
                    loaded[f"{name}.{key}"] = other
                    with torch.no_grad():
                        one.copy_(other)
        if wrong:
            more = f", and {len(wrong) - 2} more" if len(wrong) > 2 else ""
            raise ConfigError(
                f"{self.path} does not fit the recipe: {'; '.join(wrong[:2])}{more}",
                hint="leave [core] out of the recipe: it is then as the start has it",
            )
        new = sorted({name.rpartition(".")[0] for name in model.state_dict() if name not in loaded})
        summary = f"starts from {self.path}: "
        summary += f"{len(loaded)} tensors of {_listed({name.partition('.')[0] for name in loaded})}"
        summary += f", with its {_listed(taken_over).replace('_', ' ')}" if taken_over else ""
        summary += f"; new: {_listed(new) or 'nothing'}"
        return {
            "path": str(self.path),
            "sha256": dict(self.digests),
            "loaded": list(loaded),
            "new": new,
            "summary": summary,
        }

    def _pairs(self, model: SequenceModel, task: Task) -> Iterator[tuple[str, nn.Module, nn.Module]]:
        """Parts of the new model and of the start that mean the same, with their place in the new one."""
        mine, theirs = model.core, self.model.core
        if _shapes(mine) != _shapes(theirs):
            mine, theirs = mine.innermost, theirs.innermost
        yield "embedding", model.embedding, self.model.embedding
        yield next(name for name, module in model.named_modules() if module is mine), mine, theirs
        if model.encoder is not None and self.model.encoder is not None:
            yield "encoder", model.encoder, self.model.encoder
        if self._same_symbols(type(task)) and type(model.head) is type(self.model.head):
            if _tied(model) and not _tied(self.model):
                raise ConfigError(
                    f"model.tied=true, and {self.path} has an embedding and a head with different weights",
                    hint="set model.tied=false",
                )
            yield "head", model.head, self.model.head


def start_of(recipe: Recipe) -> Start | None:
    """What the recipe's `model.start` names; None where every weight is drawn."""
    place = build.model_options_of(recipe).start
    if not place and "start" in recipe.get("model", {}) and "width" not in _table(recipe.get("core", {})):
        raise ConfigError("this recipe starts from a trained model, and none is given", hint=START)
    return Start.load(place) if place else None


START = "set model.start=FOLDER: a run of `unspool train`, or a model that `save_pretrained` of Hugging Face wrote"


def no_start(path: Path) -> ConfigError:
    """The error for what is neither a run nor a model: nothing is downloaded, so its name alone is not enough."""
    files = "config.json, model.safetensors and the tokenizer's files"
    if not path.exists():
        what = f"there is no folder {path}, and nothing is downloaded"
        return ConfigError(what, hint=f"save the model there first ({files}); {other_runs(path)}")
    what = "has no config.json, and is no run" if path.is_dir() else "is a file, and the folder of a model is wanted"
    return ConfigError(f"{path} {what}", hint=f"model.start=FOLDER, with {files}, or the folder of a run")


def tokenizers_of(task: type[Task]) -> Mapping[str, str]:
    """The tokenizers of a task, and the default kind of each."""
    return task.preprocessing.tokenizers if task.preprocessing else {}


def _table(options: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": options} if isinstance(options, str) else dict(options)


def _shapes(core: Core) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in core.state_dict().items()}


def _size(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else " x ".join(map(str, tensor.shape))


def _tied(model: SequenceModel) -> bool:
    return model.embedding.weight is model.head.weight if isinstance(model.embedding, nn.Embedding) else False


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

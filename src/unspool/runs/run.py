"""A trained model in its folder."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from torch import Tensor

from unspool import build
from unspool.data.predictions import Failure
from unspool.data.preprocessors.preprocessor import Preprocessor
from unspool.data.tokenizer import Tokenizer
from unspool.errors import CheckpointError, ConfigError, DataError, UnspoolError
from unspool.generate.compiled.program import Precision
from unspool.generate.compiled.ready import CompiledModel
from unspool.generate.constraints import Constraint
from unspool.generate.engine import Engine
from unspool.generate.sampling import Sampling
from unspool.generate.session import Session
from unspool.generate.state import State, load_state, model_fingerprint
from unspool.generate.stream import Stream, stream_text
from unspool.generate.text import BANNED, read_prompt
from unspool.metrics.drawings import Drawing
from unspool.models.sequence import SequenceModel
from unspool.nn.part import refuse_unlike
from unspool.pipelines.pipeline import Pipeline, Predictor, as_record
from unspool.plugins import module_of
from unspool.recipe import Recipe, check_sections
from unspool.runs.checkpoint import Checkpoint, find_checkpoint
from unspool.runs.loading import load_data, load_domains, load_recipe_of, load_saved_preprocessor, refuse_diverged
from unspool.schema import Count
from unspool.tasks.task import Task

SHOWN = ("evaluate", "load", "load_state", "look", "model", "predict", "read", "save", "session", "stream")
"""What tab completion lists."""


class Run:
    """A trained model, usually in a run folder: `Run.load("runs/char-lm")`.

    Nothing in a run folder is executed, and it loads on any device.

    Args:
        model: the trained model.
        preprocessor: what it was trained with; a tokenizer alone makes a language model of it. None for a task
            that generates its own data.
        recipe: how it was trained; None: derived from the model, whose core was then built by name.
        checkpoint: where it was loaded from; None for a model that is not saved.
        name: what it is called where there are several.

    >>> from unspool import Tokens, cores, embedding, head, tokenizers
    >>> core = cores.build("core", {"kind": "recurrent", "width": 8})
    >>> model = SequenceModel(embedding(Tokens(256), 8), core, head(Tokens(256), 8))
    >>> run = Run(model, tokenizers.build("tokenizer", "byte"))
    >>> "".join(run.stream("To be", length=3, seed=1)) == "".join(run.stream("To be", length=3, seed=1))
    True
    """

    def __init__(
        self,
        model: SequenceModel,
        preprocessor: Preprocessor | Tokenizer | None,
        recipe: Recipe | None = None,
        checkpoint: Checkpoint | None = None,
        name: str = "",
    ) -> None:
        if isinstance(preprocessor, Tokenizer):
            from unspool.data.preprocessors.language import LanguageText

            preprocessor = LanguageText(preprocessor)
        if recipe is None:
            from unspool.runs.saving import recipe_of

            recipe = recipe_of(model, preprocessor)
        self.model, self.preprocessor, self.recipe, self.checkpoint = model, preprocessor, recipe, checkpoint
        self.name = name or (str(checkpoint.run) if checkpoint else "a model that is not saved")
        self._compiled: dict[tuple[str, str], CompiledModel] = {}

    def __repr__(self) -> str:
        return f"Run({self.name!r}: {self.recipe['task']['kind']}, {describe(self)})"

    def __dir__(self) -> list[str]:
        return list(SHOWN)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", which: str = "best") -> "Run":
        """The model of a run folder.

        Args:
            path: a run folder, or one of its checkpoints/step-N.
            device: cpu, cuda, mps or auto.
            which: the "best" or the "last" checkpoint of a run folder.

        Raises:
            CheckpointError: where the folder is missing or damaged, or needs a plug-in that was not loaded.
        """
        from unspool.training.precision import usable

        device = usable(device)
        checkpoint = find_checkpoint(path, which)
        folder = checkpoint.run
        recipe = load_recipe_of(folder)
        try:
            check_sections(recipe)
            preprocessor = load_saved_preprocessor(folder)
            with torch.random.fork_rng(devices=[]):
                model = build.model(recipe, *load_domains(folder, preprocessor))
            weights = checkpoint.weights()
            refuse_unlike(weights, model.state_dict())
            model.load_state_dict(weights)
        except UnspoolError as error:
            hint = plugin_wanted(recipe) or error.hint
            raise CheckpointError(f"{folder} cannot be loaded: {error}", hint=hint) from error
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            what = f"the weights in {folder} do not match its recipe: {reason}"
            raise CheckpointError(what, hint="train anew") from error
        refuse_diverged(model, str(path))
        return cls(model.to(device).eval(), preprocessor, recipe, checkpoint, str(path))

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self.model.device)

    @property
    def tokenizer(self) -> Tokenizer:
        """What turns text into ids and back. Raises: ConfigError for a model that does not go on with text."""
        pipeline = build.task_class(self.recipe).pipeline
        if not getattr(pipeline, "streams", False):
            verb = getattr(pipeline, "verb", "look") + (" --to FOLDER" if hasattr(pipeline, "streams") else "")
            hint = f"unspool {verb} {quote(self.name)}; `unspool train char-lm data.path=FILE` makes one that does"
            raise ConfigError(f"{self.name} does not go on with a text", hint=hint)
        return self.preprocessor.tokenizer  # type: ignore[union-attr]

    def pipeline(self, **options: Any) -> Pipeline:
        """The pipeline of the run's task around its model; options override those of the recipe."""
        if self.preprocessor is None:
            raise ConfigError(f"{self.name} has no inputs of its own", hint=f"unspool look {quote(self.name)}")
        return build.pipeline(self.recipe, self.model, self.preprocessor, **options)

    def predict(self, inputs: Any, batch_size: Count = 64, **options: Any) -> Any:
        """Predictions of the model for new inputs.

        Args:
            inputs: a string (a text, the path of an image or a sound), a mapping of fields (or of the columns that they
                stood in when the model was trained), an array, or an iterable of these.
            batch_size: how many are run at once; what comes out does not depend on it.
            **options: of the pipeline, such as `beam`.

        Returns:
            A prediction for one input; for an iterable an iterator of them, in order, with a `Failure` for each
            input that cannot be read.

        Raises:
            ConfigError: for a run whose task writes text.
            DataError: for a single input that cannot be read.
        """
        pipeline, single = predictor_of(self, **options), is_single(inputs)
        fields, columns = list(pipeline.preprocessor.fields), pipeline.columns(self.recipe.get("data", {}))
        records = (as_record(one, fields, columns) for one in ([inputs] if single else inputs))
        found = pipeline.predict(records, batch_size)
        if not single:
            return found
        (prediction,) = found
        if isinstance(prediction, Failure):
            raise DataError(prediction.error, hint="correct the input")
        return prediction

    def stream(
        self,
        prompt: str = "",
        *,
        state: State | None = None,
        length: Count = 500,
        sampling: Sampling | None = None,
        seed: int | None = None,
        stop: Sequence[str] = (),
        ban: Sequence[str] = BANNED,
        bias: Mapping[str, float] | None = None,
        constraint: Constraint | None = None,
        precision: Precision = "float32",
    ) -> Stream:
        """The text that the model generates after a prompt, piece by piece as it is made.

        A long text is generated by a compiled loop as soon as that is ready: the same text in larger pieces.

        Args:
            prompt: what to go on from; unknown words of it are a UserWarning.
            state: what was read before the prompt, by `read`, `load_state` or an earlier stream; it is not changed.
            length: how many tokens at most.
            sampling: how to draw, for instance `Sampling(temperature=0.8)`; None: from the model's own distribution.
            seed: the same seed generates the same text; None: that of the state, or a random one.
            stop: the text ends before the first of these strings.
            ban: texts that are never generated.
            bias: what is added to the logits of texts, from -100 to 100.
            constraint: what all that is generated matches, for instance `Constraint.regex("[0-9]+")`.
            precision: of the weights in generation; "bfloat16" and "int8" read less memory and need a compiled model.

        Returns:
            An iterator of strings, whose `state` is the state behind what came out.

        Raises:
            ConfigError: the run does not go on with a text, or its model cannot be compiled for that precision.
            DataError: the prompt has characters that the tokenizer does not know.
        """
        drawn: dict[str, Any] = {"sampling": sampling, "seed": seed, "stop": stop, "ban": ban}
        kept: dict[str, Any] = {"bias": bias, "constraint": constraint}
        engine = engine_of(self, precision)
        return stream_text(engine, self.tokenizer, prompt, state=state, length=length, **drawn, **kept)

    def read(self, text: str = "", *, source: Tensor | None = None, state: State | None = None) -> State:
        """The state of the model after reading a text: a value to go on from, to save or to fork.

        Args:
            text: what to read; an empty one behind no state is a line break, where a text may begin.
            source: what a model with an encoder attends to, ids (1, S) or numbers (1, S, F).
            state: what was read before.

        Raises:
            ConfigError: the run does not go on with a text, or its core reads both ways.
            DataError: the text has characters that the tokenizer does not know.
        """
        return read_prompt(engine_of(self), self.tokenizer, text, state, source)

    def load_state(self, path: str | Path) -> State:
        """A state that `State.save` wrote; going on from it is bit for bit going on from the saved one.

        Raises:
            CheckpointError: the file is missing or damaged, or its model has other weights or tokenizers.
        """
        return load_state(path, engine_of(self))

    def session(self, state: State | None = None) -> Session:
        """A text that is read and generated in turns, and that can be rewound to any earlier token.

        Args:
            state: where to begin; None: with an empty text.
        """
        return Session(engine_of(self), self.tokenizer, state)

    def look(
        self,
        text: str | None = None,
        split: str = "valid",
        length: Count = 2000,
        progress: Any = None,
        target_text: str = "",
    ) -> Any:
        """What the model does inside while it reads.

        `run.look("To be").view("gates").plot()` is a picture in a notebook.

        Args:
            text: what it reads; None for the first rows of a split of its own data. Where the model answers a source
                it is a source, which the model answers itself.
            split: of its data: train, valid or test.
            length: at most so many positions of each row.
            progress: is called with how many positions are done, and how many there are.
            target_text: the answer that is read to a source, instead of the model's own.

        Raises:
            CheckpointError: for weights that are not finite, and where there is no such split.
            DataError: for a text that cannot be read.
        """
        from unspool.runs.probes import look

        return look(self, text, split, length, progress, target_text)

    def evaluate(self, split: str = "valid") -> dict[str, float | None]:
        """Every value on a split of the run's data, by `split/set[:group]/metric`; empty without such a split.

        A classifier has the accuracy of baselines beside its own; what keeps one from being measured is a UserWarning.

        Raises:
            CheckpointError: where the data is not what the model was trained on.
        """
        return evaluation_of(self, split)[0]

    def save(self, path: str | Path) -> "Run":
        """Write the run into a new folder, so that `Run.load` and every command can use it; the saved run comes back.

        Raises:
            CheckpointError: where something is there already, or the disk refuses.
        """
        from unspool.runs.saving import save_run

        return Run.load(save_run(self, Path(path)), self.device)


def load(path: str | Path, device: str = "cpu", which: str = "best") -> Run:
    """Load a trained model from its run folder, as `Run.load` does.

    Args:
        path: a run folder, or one of its checkpoints/step-N.
        device: cpu, cuda, mps or auto.
        which: the "best" or the "last" checkpoint of a run folder.

    Returns:
        The trained model.

    Raises:
        CheckpointError: where the folder is missing or damaged, or needs a plug-in that was not loaded.

    >>> import tempfile
    >>> from unspool import Tokens, cores, embedding, head, tokenizers
    >>> core = cores.build("core", {"kind": "recurrent", "width": 8})
    >>> model = SequenceModel(embedding(Tokens(256), 8), core, head(Tokens(256), 8))
    >>> run = Run(model, tokenizers.build("tokenizer", "byte"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = run.save(f"{folder}/run")
    ...     load(f"{folder}/run").read("To be").position
    5
    """
    return Run.load(path, device, which)


def is_single(inputs: Any) -> bool:
    """Whether it is one input of `Run.predict`, and not several.

    >>> is_single("a text"), is_single({"text": "a text"}), is_single(["one", "other"])
    (True, True, False)
    """
    return (
        isinstance(inputs, str | bytes | Path | Mapping)
        or not isinstance(inputs, Iterable)
        or (getattr(inputs, "ndim", 0) == 1)
    )


def engine_of(run: Run, precision: Precision = "float32") -> Engine:
    """What runs the model of a run; the fingerprint of its weights and tokenizers goes into every state."""
    names = run.preprocessor.tokenizers if isinstance(run.preprocessor, Preprocessor) else ()
    fingerprint = model_fingerprint(run.model, {name: getattr(run.preprocessor, name) for name in names})
    compiled = run._compiled.setdefault((precision, fingerprint), CompiledModel(run.model, precision))
    return Engine(run.model, fingerprint, compiled)


def predictor_of(run: Run, **options: Any) -> Predictor:
    """The pipeline of a run that predicts. Raises: ConfigError for a model that goes on with a text instead."""
    found = run.pipeline(**options)
    if not isinstance(found, Predictor):
        raise ConfigError(
            f"{run.name} goes on with a text: use unspool sample", hint=f"unspool sample {quote(run.name)}"
        )
    return found


def evaluation_of(run: Run, split: str) -> tuple[dict[str, float | None], dict[str, Drawing]]:
    """Every value on a split, as `Run.evaluate` returns them, and what the evaluation draws, by name."""
    from unspool.runs.evaluation import evaluate_beside_baselines

    return evaluate_beside_baselines(run.model, load_task(run), split, run.device, run.pipeline)


def describe(run: Run) -> str:
    """The core of a run's model and its size, in words."""
    core = run.recipe["core"]
    cell = core.get("cell", "")
    kinds = (core["kind"], cell["kind"] if isinstance(cell, Mapping) else cell)
    weights = sum(p.numel() for p in run.model.parameters())
    return f"{' '.join(filter(None, kinds))}, {weights:,} parameters"


def plugin_wanted(recipe: Recipe) -> str:
    """The hint for a run that was trained with a plug-in that is not loaded; "" when none is missing."""
    missing = [path for path in recipe.get("plugin", ()) if module_of(path) not in sys.modules]
    return f"it was trained with --plugin {missing[0]}" if missing else ""


def load_task(run: Run) -> Task:
    """The task of a run with its data, read again from where the recipe says it is.

    Raises:
        CheckpointError: where the run is not saved, or the data is not what the model was trained on.
    """
    if run.checkpoint is None:
        raise CheckpointError(f"{run.name} has no data", hint="Run.save it, or give a text")
    return build.task(run.recipe, load_data(run.recipe, run.checkpoint.run), run.preprocessor)


def format_values(values: Mapping[str, float | None], between: str = ", ") -> str:
    """Values in one line.

    >>> format_values({"loss": 1.23456, "macro_f1": 0.5, "mase": None})
    'loss 1.2346, macro f1 0.5000, mase undefined'
    >>> format_values({"perplexity": 1.014e304})
    'perplexity 1.014e+304'
    """
    written = {
        name: "undefined" if value is None else f"{value:.4f}" if abs(value) < 1e9 else f"{value:.4g}"
        for name, value in values.items()
    }
    return between.join(f"{name.replace('_', ' ')} {value}" for name, value in written.items())

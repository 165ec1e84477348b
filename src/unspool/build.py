"""Builds what a recipe names: its data, preprocessor, task, model and pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from unspool.batch import Domain
from unspool.data.preprocessors.preprocessor import Preprocessor
from unspool.data.splits import Dataset, NoData
from unspool.data.tokenizer import Tokenizer, tokenizers
from unspool.errors import ConfigError
from unspool.models.sequence import Encoder, SequenceModel
from unspool.nn.core import cores
from unspool.nn.embeddings import embedding
from unspool.nn.heads import TransformName, head
from unspool.nn.size import refuse_too_large
from unspool.pipelines.pipeline import Pipeline
from unspool.recipe import Recipe
from unspool.schema import Natural, defaults, validated
from unspool.tasks.task import Task, tasks


def dataset(recipe: Recipe) -> Dataset:
    """The dataset of the recipe's [data] section, of the class that its task reads.

    >>> dataset({"data": {"corpus": "python-docs"}}).corpus
    'python-docs'
    """
    dataset = task_class(recipe).dataset
    return dataset(**validated(dataset, recipe.get("data", {}), "data", "the data"))


def task_class(recipe: Recipe) -> type[Task]:
    """The class of the recipe's task.

    >>> task_class({}).__name__
    'Language'
    """
    return tasks.find(section(recipe)["kind"])


def fitted_preprocessor(
    recipe: Recipe, splits: Any, saved: Mapping[str, Tokenizer] | None = None
) -> Preprocessor | None:
    """The recipe's preprocessor, fitted on the training split; None for a task without records.

    Args:
        recipe: its [preprocessor] section holds the options, a section for each tokenizer how it is fitted.
        splits: the data; tokenizers and scales are fitted on the training split alone.
        saved: tokenizers that are already fitted, by their names.
    """
    cls = task_class(recipe).preprocessing
    if cls is None:
        return None
    saved = saved or {}
    given = {
        name: saved.get(name) or tokenizers.build(name, recipe.get(name, usual))
        for name, usual in cls.tokenizers.items()
    }
    options = validated(cls, recipe.get("preprocessor", {}), "preprocessor", "the preprocessor", given)
    made = cls(**given, **options)
    for name, tokenizer in given.items():
        if name not in saved:
            fitted_to = (splits.train, splits.valid, splits.test) if tokenizer.sees_all else (splits.train,)
            tokenizer.fit("".join(made.texts(part).get(name, "") for part in fitted_to))
    made.fit(splits.train)
    return made


def task(recipe: Recipe, splits: Any, preprocessor: Preprocessor | None = None) -> Task:
    """The recipe's task on that data.

    Args:
        recipe: its [task] section holds the options.
        splits: the data; unused by a task that generates its own.
        preprocessor: fitted; None: build and fit it here.
    """
    cls = task_class(recipe)
    given: dict[str, Any] = {"seed": recipe.get("seed", 0)}
    if cls.dataset is not NoData:
        given["splits"] = splits
    if cls.preprocessing is not None:
        given["preprocessor"] = preprocessor or fitted_preprocessor(recipe, splits)
    options = {name: value for name, value in section(recipe).items() if name not in pipeline_options(cls, given)}
    return tasks.build("task", options, **given)


def section(recipe: Recipe) -> dict[str, Any]:
    """The [task] section as a table."""
    asked = recipe.get("task", "language")
    return {"kind": asked} if isinstance(asked, str) else {"kind": "language", **asked}


def pipeline_options(task: type[Task], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a [task] section that are the pipeline's, such as `beam`, with its defaults."""
    if task.pipeline is None:
        return {}
    own = {*signature(task).parameters, *given}
    return {name: value for name, value in defaults(task.pipeline).items() if name not in own}


def pipeline(recipe: Recipe, model: SequenceModel, preprocessor: Preprocessor, **options: Any) -> Pipeline:
    """The pipeline of the recipe's task around a trained model.

    Args:
        recipe: of its [task] section the options of the pipeline are taken.
        model: the trained model.
        preprocessor: the one that it was trained with.
        **options: override those of the recipe.

    Raises:
        ConfigError: for a task that has no pipeline.
    """
    cls = task_class(recipe).pipeline
    if cls is None:
        raise ConfigError(
            f"a model of the task {section(recipe)['kind']!r} has no new inputs: the task generates its data",
            hint="use `unspool eval` or `look`",
        )
    table = {name: value for name, value in section(recipe).items() if name in signature(cls).parameters}
    given: dict[str, Any] = {"model": model, "preprocessor": preprocessor}
    return cls(**given, **validated(cls, table | options, "task", "the pipeline", given))


def model(
    recipe: Recipe, inputs: Domain, targets: Domain, source: Domain | None = None, copies: int = 1
) -> SequenceModel:
    """The recipe's model, with weights drawn from torch's generator.

    Args:
        recipe: its sections [model], [core] and [encoder].
        inputs: the domain that it reads.
        targets: the domain that it predicts.
        source: the domain of what its encoder reads; None: it has no encoder.
        copies: how many numbers each weight needs in memory: 1 to be used, 4 to be trained.

    Raises:
        ConfigError: for impossible options, and for a model that this machine could not hold.

    >>> from unspool import Tokens
    >>> recipe = {"core": {"kind": "recurrent", "cell": "gru", "width": 8}}
    >>> sum(p.numel() for p in model(recipe, Tokens(5), Tokens(5)).parameters())
    517
    """
    refuse_too_large(lambda: _model(recipe, inputs, targets, source), copies)
    return _model(recipe, inputs, targets, source)


def _model(recipe: Recipe, inputs: Domain, targets: Domain, source: Domain | None) -> SequenceModel:
    if "core" not in recipe:
        raise ConfigError("the recipe has no [core]", hint=f"set core.kind to one of {', '.join(cores.kinds())}")
    options = dict(recipe.get("model", {}))
    chosen = model_options_of(recipe)
    for name in defaults(ModelOptions):
        options.pop(name, None)
    core_options = {"kind": recipe["core"]} if isinstance(recipe["core"], str) else dict(recipe["core"])
    if not chosen.embed:
        core_options["input_width"] = core_options.get("input_width") or inputs.size
    section = validated(SequenceModel, options, "model", "the model", _GIVEN)
    encoder = _encoder(recipe.get("encoder", {}), source, section.get("dropout", 0.0)) if source else None
    if encoder is not None:
        core_options = _with_source(core_options, encoder.core.width)
    core = cores.build("core", core_options)
    if encoder is not None and not core.needs_source:
        raise ConfigError(
            f"this task has a source, and the core {core_options['kind']} does not attend to it",
            hint="set core.cross_attention=true for transformer, core.conditioning=initial or always for recurrent, "
            "or core.kind=attention-rnn",
        )
    if not chosen.embed and core.input_width != inputs.size:
        raise ConfigError(
            f"model.embed=false shows the core {inputs.size} numbers, and core.input_width is {core.input_width}",
            hint="leave core.input_width out",
        )
    entrance = embedding(inputs, core.input_width, chosen.embed)
    exit_ = head(targets, core.width, chosen.components, chosen.transform)
    return SequenceModel(entrance, core, exit_, encoder, **section)


def _with_source(options: Mapping[str, Any], width: int) -> dict[str, Any]:
    """The options of a core with the width of its source, where it uses one."""
    kind = options.get("kind", "")
    able = kind in cores.kinds() and "source_width" in defaults(cores.find(kind))
    return {**options, "source_width": options.get("source_width") or width} if able else dict(options)


def _encoder(options: str | Mapping[str, Any], kind: Domain, dropout: float) -> Encoder:
    if not options:
        raise ConfigError("this task has a source, and the recipe has no [encoder]", hint="set encoder.kind=recurrent")
    core = cores.build("encoder", options)
    return Encoder(embedding(kind, core.input_width), core, dropout)


@dataclass(frozen=True)
class ModelOptions:
    """The keys of the [model] section that `SequenceModel` does not take: embedding, head, and initial weights.

    Args:
        embed: whether inputs are embedded; false: one-hot vectors of tokens, numbers as they are.
        components: how many Gaussians the predicted distribution of numbers mixes; 0: only the mean is predicted, and
            the loss is half the squared error.
        transform: the activation of a linear layer with LayerNorm before the output layer, as the head of BERT's masked
            language model has it; "none": without.
        start: the folder of a trained model whose weights and tokenizer are the initial ones: a run, or GPT-2, Llama,
            BERT or DistilBERT as Hugging Face saves them; "": all weights are drawn.
    """

    embed: bool = True
    components: Natural = 0
    transform: TransformName = "none"
    start: str = ""


def model_options_of(recipe: Recipe) -> ModelOptions:
    """The keys of the recipe's [model] section that the model itself does not take.

    >>> model_options_of({"model": {"embed": False, "tied": True}})
    ModelOptions(embed=False, components=0, transform='none', start='')
    """
    own = {name: value for name, value in recipe.get("model", {}).items() if name in defaults(ModelOptions)}
    return ModelOptions(**validated(ModelOptions, own, "model", "the model"))


_GIVEN = dict.fromkeys(("embedding", "core", "head", "encoder"))

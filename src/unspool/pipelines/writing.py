"""Writers: a model that goes on with a text, token by token."""

from typing import ClassVar

from unspool.pipelines.pipeline import Pipeline


class Writer(Pipeline):
    """Goes on with what it has read: `Run.stream`, `Run.read` and `unspool sample` run it."""

    verb = "sample"
    streams: ClassVar[bool] = False
    """Whether what it writes is text that can be shown token by token."""


class TextWriter(Writer):
    """Goes on with a text."""

    streams = True

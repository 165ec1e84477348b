"""Text that appears while a sound goes on."""

import json
import sys
from typing import TYPE_CHECKING

from unspool.errors import ConfigError

if TYPE_CHECKING:
    from unspool.pipelines.pipeline import Predictor


def show_captions(pipeline: "Predictor", sound: str, rate: int, as_json: bool) -> None:
    """Print what a model recognizes, as soon as it does.

    Args:
        pipeline: of a model that reads streams.
        sound: a file, or "-" for standard input: raw 16-bit samples of one channel, or a WAV file.
        rate: samples a second of raw samples; 0: as in training.
        as_json: a line for every new piece of text, with all of it and the seconds that were heard.
    """
    from unspool.data.readers.pcm import live_sound
    from unspool.pipelines.pipeline import ReadsStreams

    if not isinstance(pipeline, ReadsStreams):
        raise ConfigError("this model listens to no sound", hint="train one: unspool train transcribe-tones")
    if sound != "-":
        captions = pipeline.stream(sound)
    else:
        if sys.stdin.isatty():
            raise ConfigError(
                "standard input is the keyboard, and a sound is wanted",
                hint="pipe a sound into it (of `arecord -f S16_LE`, say), or give a file: --stream FILE.wav",
            )
        captions = pipeline.stream(*live_sound(sys.stdin.buffer, rate or pipeline.preprocessor.rate))  # type: ignore[attr-defined]
    for caption in captions:
        if as_json:
            print(json.dumps(caption.as_dict(), ensure_ascii=False), flush=True)
        else:
            print(caption.added, end="", flush=True)
    if not as_json:
        print()

"""Every recipe with two steps, on data made here."""

import wave

from unspool.build import task_class
from unspool.data.captioned_features import CaptionedFeatures
from unspool.data.labelled import Labelled
from unspool.data.parallel import Parallel
from unspool.data.pictures import CaptionedImages
from unspool.data.sounds import Sounds
from unspool.data.source import Source
from unspool.data.synthetic.speech import tone_speech
from unspool.data.transcripts import Transcripts
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe
from unspool.schema import defaults

QUICK = [
    "train.steps=2", "train.minutes=0", "train.epochs=0", "train.precision=float32", "train.threads=1",
    "evaluate.times=1", "sample.times=1", "sample.length=5",
]  # fmt: skip
TEXT = "It was the best of times, it was the worst of times,\n" * 400


def text(folder):
    """A text."""
    (folder / "text.txt").write_text(TEXT + "Things")
    return folder / "text.txt"


def reviews(folder):
    """Texts of several lengths with one of two labels."""
    lines = [f"{'good ' * (1 + n % 5)}words,{n % 2}" for n in range(60)]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *lines]))
    return folder / "reviews.csv"


def tagged(folder):
    """Words with a label each, some of them in a span."""
    words = [f"{'AB'[n % 2]} {'B-x' if n % 3 == 0 else 'O'}\n" + ("\n" if n % 5 == 4 else "") for n in range(200)]
    (folder / "tagged.conll").write_text("".join(words))
    return folder / "tagged.conll"


def noises(folder):
    """A folder of sounds, some for the test."""
    for number in range(60):
        with wave.open(str(folder / f"{number % 3}_someone_{number // 3}.wav"), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(range(256)) * (3 + number % 4))
    return folder


def two_languages(folder):
    """Three pairs of files."""
    for part in ("train", "val", "test"):
        (folder / f"{part}.de").write_text("Es war die beste Zeit.\nEs war die schlechteste Zeit!\n" * 8)
        (folder / f"{part}.en").write_text("It was the best of times.\nIt was the worst of times!\n" * 8)
    return folder


def album(folder):
    """Images of one colour, and the name of the colour."""
    for number in range(20):
        (folder / f"{number}.ppm").write_bytes(b"P6 8 8 255\n" + bytes([number * 10, 0, 0]) * 64)
    rows = [f"{number}.ppm,a {'dark' if number < 10 else 'light'} square" for number in range(20)]
    (folder / "captions.csv").write_text("\n".join(["file,caption", *rows]))
    return folder


def measured_photographs(folder):
    """Numbers of images with five captions each, two words of which the numbers tell."""
    header = ["file", "a", "b", *(f"caption{number}" for number in range(1, 6))]
    rows = [
        [f"{n}.jpg", n / 60, n % 7, *(f"{who} {'walks' if n < 30 else 'sits'} ." for who in ("a man", *"bcde"))]
        for n in range(60)
    ]
    for part, some in (("train", rows), ("valid", rows[::5]), ("test", rows[::7])):
        lines = [",".join(map(str, row)) for row in (header, *some)]
        (folder / f"{part}.csv").write_text("\n".join(lines))
    return folder


def spoken(folder):
    """A table of sounds with their texts."""
    for number in range(30):
        (folder / f"{number}.wav").write_bytes(tone_speech(number, (1, 2))["sound"])
    rows = [f"{number}.wav,{tone_speech(number, (1, 2))['text']}" for number in range(30)]
    (folder / "spoken.csv").write_text("\n".join(["file,text", *rows]))
    return folder / "spoken.csv"


MADE = {
    Source: text,
    Labelled: reviews,
    Sounds: noises,
    Parallel: two_languages,
    Transcripts: spoken,
    CaptionedFeatures: measured_photographs,
    CaptionedImages: album,
}
"""What makes the data for a recipe that wants some of the user's, by what reads it."""


def quick(name, tmp_path):
    """The recipe with two steps, on data made here where it wants the user's, from a run made here if it wants one."""
    recipe = load_recipe(name)
    made = tagged if recipe["task"]["kind"] == "tag" else MADE.get(task_class(recipe).dataset)
    made = noises if "test_names" in recipe.get("data", {}) else made  # recordings that say their word by their name
    fewer = ["task.documents=1"] if "documents" in defaults(task_class(recipe)) else []
    task = recipe["task"]["kind"]
    fewer += ["task.batch_size=8"] if task in ("execute", "temporal-order") else []
    fewer += ["task.max_new_tokens=8"] if task == "execute" else []  # every kind of program times five
    fewer += ["core.layers=2"] if recipe.get("core", {}).get("layers", 0) > 2 else []
    if made is None or recipe["data"].get("corpus") or recipe["data"].get("scenes"):
        fewer += [f"data.{key}=400" for key in ("scenes", "students", "strings") if key in recipe.get("data", {})]
        return load_recipe(name, [*QUICK, *fewer])
    folder = tmp_path / "data"
    folder.mkdir()
    start = ["data.source=de", "data.target=en"] if made is two_languages else []
    if "start" in recipe.get("model", {}):
        both_ways = recipe.get("core", {}).get("by") == "first"  # the first of a causal core has read nothing else
        first = load_recipe("masked-lm" if both_ways else "char-lm", [*QUICK, "core.width=16", "data.limit=3000"])
        list(Experiment.new(first, tmp_path / "start"))
        start += [f"model.start={tmp_path}/start"]
    start += ["data.strings=40"] if "strings" in recipe["data"] else []
    return load_recipe(name, [*QUICK, *start, f"data.path={made(folder)}"])

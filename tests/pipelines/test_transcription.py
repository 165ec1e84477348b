"""Text while a sound goes on: nothing depends on what comes later, and it is what the whole sound gives."""

import csv
import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers.commands import run as command
from helpers.models import small
from unspool import Run, preprocessors, tokenizers
from unspool.data.predictions import Failure
from unspool.data.readers.sounds import decode_sound
from unspool.data.synthetic.speech import tone_speech, wav_file
from unspool.experiment.experiment import Experiment
from unspool.generate.ctc import prefix_beam_search
from unspool.nn.part import tensors
from unspool.pipelines.transcription import Transcription
from unspool.recipe import load_recipe

RECORDS = [tone_speech(seed, (1, 2)) for seed in range(6)]
CORES = [
    {"kind": "recurrent", "cell": "lstm"},
    {"kind": "blocks", "cell": "mingru", "layers": 1},
    {"kind": "transformer", "layers": 2, "heads": 2, "context": 16},  # less than a sound has steps
    {"kind": "convolutional", "layers": 2},
]
every_core = pytest.mark.parametrize("core", CORES, ids=lambda core: core["kind"])
TINY = ["data.strings=30", "core.width=8", "core.input_width=8", "train.steps=3", "evaluate.times=1", "train.threads=1"]


def pipeline_of(core, **options):
    """A model that was not trained, and so says something at nearly every step."""
    made = preprocessors.build(
        "preprocessor", "transcribed-sound", tokenizer=tokenizers.build("tokenizer", "char").fit("abcdefgh "), bands=8
    )
    made.fit(RECORDS)
    model = small(core, made.inputs, made.targets, width=16)
    with torch.no_grad():
        model.head.weight.normal_(std=3.0)
    return Transcription(model, made, **options)


def samples_of(record):
    data, _ = decode_sound(record["sound"], "the sound")
    return np.frombuffer(data, np.int16)


def captions_of(listener, samples, size):
    """The captions of a sound in pieces of that size, before it ends."""
    return [c for begin in range(0, len(samples), size) for c in listener.feed(samples[begin : begin + size])]


@every_core
def test_a_stream_says_what_the_whole_sound_says(core):
    pipeline = pipeline_of(core)
    for record, whole in zip(RECORDS, pipeline.predict(RECORDS), strict=True):
        captions = list(pipeline.stream(record["sound"]))
        assert captions[-1].text.strip() == whole.text != ""
        assert "".join(caption.added for caption in captions) == captions[-1].text
        shown = [caption.seconds for caption in captions]
        assert shown == whole.times[-len(shown) :] and shown == sorted(shown)


@every_core
def test_nothing_depends_on_what_comes_later(core):
    """A sound that ends after a frame has the same captions and the same state up to there, bit for bit."""
    pipeline, samples = pipeline_of(core), samples_of(RECORDS[2])
    whole = pipeline.listen()
    captions = captions_of(whole, samples, 160)
    for end in (2000, len(samples) // 2, len(samples) - 700):
        cut, other = pipeline.listen(), pipeline.listen()
        before = captions_of(cut, samples[:end], 333)
        assert before == [caption for caption in captions if caption.seconds <= cut.seconds]
        assert 0 <= end / 8000 - cut.seconds < 0.03
        changed = np.concatenate([samples[:end], -samples[end:][::-1]])
        assert captions_of(other, changed, 160)[: len(before)] == before
        again = pipeline.listen()
        captions_of(again, samples[:end], 1)
        states = [dict(tensors(listener.state)) for listener in (cut, again)]
        assert states[0].keys() == states[1].keys() and len(states[0])
        assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_another_sampling_rate_is_changed_while_it_goes_on():
    pipeline, samples = pipeline_of(CORES[0]), samples_of(RECORDS[1])
    twice = np.repeat(samples, 2)
    captions = list(pipeline.stream([twice[begin : begin + 100] for begin in range(0, len(twice), 100)], rate=16000))
    (whole,) = pipeline.predict([{"sound": wav_file(twice, 16000)}])
    assert captions[-1].text.strip() == whole.text


def test_predictions_do_not_depend_on_the_batch_and_bad_sounds_are_failures():
    pipeline = pipeline_of(CORES[0])
    records = [{"sound": record["sound"]} for record in RECORDS]
    alone, together = list(pipeline.predict(records, batch_size=1)), list(pipeline.predict(RECORDS, batch_size=4))
    for one, other in zip(alone, together, strict=True):
        assert (one.text, one.tokens, one.times) == (other.text, other.tokens, other.times)
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3) and one.log_probability < 0
        assert len(one.tokens) == len(one.times) and one.times == sorted(one.times)
    bad = list(pipeline.predict([{"sound": b"RIFF"}, RECORDS[0], {"text": "no sound"}, {"sound": "gone.wav"}]))
    assert [isinstance(one, Failure) for one in bad] == [True, False, True, True]


def test_a_beam_finds_texts_that_are_as_likely_or_more():
    greedy, beam = pipeline_of(CORES[0]), pipeline_of(CORES[0], beam=6)
    for record, one, other in zip(RECORDS, greedy.predict(RECORDS), beam.predict(RECORDS), strict=True):
        row = beam.preprocessor.collate([beam.encode(record)])
        found = prefix_beam_search(beam.engine.forward(row)[0], 6)
        assert other.log_probability >= one.log_probability - 1e-4
        assert [len(other.alternatives), other.text] == [5, beam.preprocessor.tokenizer.decode(found[0].ids).strip()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transcribe")
    list(Experiment.new(load_recipe("transcribe-tones", TINY), folder / "run"))
    run = Run.load(folder / "run")
    with torch.no_grad():
        run.model.head.weight.normal_(std=3.0)
    run.save(folder / "loud")
    (folder / "sounds").mkdir()
    for number, record in enumerate(RECORDS):
        (folder / "sounds" / f"{number}.wav").write_bytes(record["sound"])
    (folder / "sounds" / "broken.wav").write_bytes(b"RIFF")
    rows = [f"{number}.wav,{number}" for number in range(6)]
    (folder / "sounds" / "table.csv").write_text("\n".join(["file,number", *rows, "broken.wav,6"]))
    return folder


def test_files_folders_and_tables_are_predicted(place, capsys):
    run = Run.load("loud")
    right = [run.predict(f"sounds/{number}.wav").text for number in range(6)]
    assert command("predict", "loud", "sounds", "--out", "out.csv") == 0
    assert command("predict", "loud", "--file", "sounds/table.csv", "--out", "table_out.csv", "--beam", "1") == 0
    assert capsys.readouterr().err.count("1 of 7 rows have an error") == 2
    for name, columns in (("out.csv", ["file"]), ("table_out.csv", ["file", "number"])):
        with open(name, newline="") as file:
            header, *rows = csv.reader(file)
        assert header == [*columns, "text", "log_probability", "error"]
        found = {row[0].rpartition("/")[2]: row[len(columns) :] for row in rows}
        assert [found[f"{number}.wav"][0] for number in range(6)] == right
        assert "broken.wav" in found["broken.wav"][2]
    assert command("predict", "loud", "sounds/0.wav") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["text"] == right[0] and len(printed["times"]) == len(printed["tokens"])


def test_text_appears_while_a_file_or_standard_input_goes_on(place, capsys, monkeypatch):
    right = Run.load("loud").predict("sounds/0.wav").text
    assert command("predict", "loud", "--stream", "sounds/0.wav") == 0
    assert capsys.readouterr().out.strip() == right
    for data in (RECORDS[0]["sound"], samples_of(RECORDS[0]).tobytes()):
        piped = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", piped)
        assert command("predict", "loud", "--stream", "-", "--json") == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert lines[-1]["text"].strip() == right and set(lines[0]) == {"text", "added", "seconds"}


def test_what_cannot_be_streamed_is_said(place, capsys, monkeypatch):
    for words, said in (
        (("loud", "--stream", "gone.wav"), "gone.wav"),
        (("loud", "--stream", "sounds/broken.wav"), "broken.wav is not a sound"),
        (("loud", "sounds", "--stream", "sounds/0.wav"), "--stream goes with"),
    ):
        assert command("predict", *words) == 2
        assert said in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(), isatty=lambda: True))
    assert command("predict", "loud", "--stream", "-") == 2
    assert "standard input is the keyboard" in capsys.readouterr().err
    list(Experiment.new(load_recipe("pass", ["data.students=60", "train.steps=1", "evaluate.times=1"]), place / "pass"))
    assert command("predict", "pass", "--stream", "sounds/0.wav") == 2
    assert "this model listens to no sound" in capsys.readouterr().err


def test_a_saved_run_hears_the_same(trained):
    run, again = Run.load(trained / "loud"), Run.load(trained / "loud")
    assert run.predict(trained / "sounds" / "1.wav") == again.predict({"sound": trained / "sounds" / "1.wav"})
    made = again.preprocessor
    assert made.rate == 8000 and torch.equal(made.mean, run.preprocessor.mean) and made.options()["stack"] == 3

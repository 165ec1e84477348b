"""Tunes and chorales: reading, learning, writing, and the files that come of it."""

import io
import json
import wave
from fractions import Fraction
from itertools import islice
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch

from unspool import cli
from unspool.data.music.abc_reader import parse_tune
from unspool.data.music.chorales import ChoraleBook, as_score
from unspool.data.music.documents import TuneDocument
from unspool.data.music.midi import midi
from unspool.data.music.midi import read_midi as midi_reader
from unspool.data.music.notes import Note, Score
from unspool.data.music.synth import PEAK, RATE, wav
from unspool.data.music.tune_grammar import tune
from unspool.data.music.tunes import TuneBook
from unspool.data.preprocessors.music import ChoralePitches, TuneText
from unspool.data.splits import Splits
from unspool.data.tokenizers.char import CharTokenizer
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.generate.documents import generate_documents
from unspool.generate.sampling import Sampling
from unspool.metrics.music import ChoraleShares, TuneShares
from unspool.pipelines.writing import TuneWriter, Writer
from unspool.recipe import load_recipe
from unspool.runs.run import Run
from unspool.tasks.chorales import Chorales
from unspool.tasks.tunes import Tunes

SMALL = ["core.width=8", "train.steps=2", "train.precision=float32", "evaluate.times=1", "sample.times=0"]


def read_midi(data):
    """(start, end, pitch) in ticks, the tempo and the title: a reader of its own, by the specification."""
    assert data[:4] == b"MThd" and data[4:8] == bytes([0, 0, 0, 6]) and data[8:12] == bytes([0, 0, 0, 1])
    assert data[14:18] == b"MTrk" and int.from_bytes(data[18:22], "big") == len(data) - 22
    place, now, sounding, found, printed, status = 22, 0, {}, [], {}, 0

    def number():
        nonlocal place
        value = 0
        while True:
            value = value << 7 | data[place] & 0x7F
            place += 1
            if not data[place - 1] & 0x80:
                return value

    while place < len(data):
        now += number()
        if data[place] >= 0x80:  # else the status runs on
            status = data[place]
            place += 1
        if status == 0xFF:
            kind, size = data[place], 0
            place += 1
            size = number()
            printed[kind] = data[place : place + size]
            place += size
        elif status == 0xC0:
            place += 1
        else:
            pitch = data[place]
            place += 2
            if status == 0x90:
                assert pitch not in sounding
                sounding[pitch] = now
            else:
                assert status == 0x80
                found.append((sounding.pop(pitch), now, pitch))
    assert not sounding and printed[0x2F] == b""
    return sorted(found), int.from_bytes(printed[0x51], "big"), printed[0x03].decode()


def test_a_midi_file_reads_back_as_what_was_written():
    score = parse_tune("X:1\nT:Ü\nM:2/4\nL:1/8\nQ:1/4=100\nK:D\n|:F2 (3FFF|[DA]4:|").score()
    found, tempo, title = read_midi(midi(score))
    ticks = [(round(n.start * 960), round(n.end * 960), n.pitch) for n in score.notes]
    assert found == sorted(ticks) and len(found) == 12
    assert tempo == 600_000 and title == "Ü"
    again = midi_reader(midi(score), "a.mid")
    assert again.notes == sorted(n._replace(tied=False) for n in score.notes)
    assert (again.speed, again.title) == (score.speed, score.title)


@pytest.mark.parametrize("data", [b"", b"MThd", b"RIFF" * 9, midi(Score([Note(Fraction(0), Fraction(1), 60)]))[:-9]])
def test_a_broken_midi_file_is_an_error_that_names_it(data):
    with pytest.raises(DataError, match=r"a\.mid is not a whole MIDI file: "):
        midi_reader(data, "a.mid")


def samples(data):
    with wave.open(io.BytesIO(data)) as sound:
        assert sound.getparams()[:3] == (1, 2, RATE)
        return np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2") / 32767


def test_a_sound_has_its_pitch_and_neither_clicks_nor_clips():
    sound = samples(wav(Score([Note(Fraction(0), Fraction(2), 69), Note(Fraction(2), Fraction(2), 57)], 120.0)))
    assert len(sound) == pytest.approx(2.06 * RATE, abs=2)
    for start, hertz in ((0.0, 440), (1.0, 220)):
        part = sound[int(start * RATE) : int((start + 1) * RATE)]
        loudest = np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() / len(part) * RATE
        assert loudest == pytest.approx(hertz, abs=2)
    crowd = samples(wav(Score([Note(Fraction(0), Fraction(1), pitch) for pitch in range(40, 90)], 60.0)))
    assert np.abs(crowd).max() == pytest.approx(PEAK, abs=1e-3)
    for made in (sound, crowd):
        assert abs(made[0]) < 1e-3 and abs(made[-1]) < 1e-3
    steepest = 2 * np.pi * 440 * 6 / RATE * np.abs(sound).max()  # as steep as the highest partial could ever be
    assert np.abs(np.diff(sound)).max() < steepest


def test_silence_is_silent():
    assert not samples(wav(Score([]))).any()


def book(folder, text):
    (folder / "book.abc").write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder / "book.abc")


def test_a_tune_book_is_parted_by_whole_tunes_each_once(tmp_path):
    tunes = [tune(0, number) for number in range(20)]
    again = tunes[3].replace("T:The", "T:Her")
    bad = "X:9\nT:Bad\nK:C\nA?|\n"
    splits = TuneBook(book(tmp_path, "\n".join([*tunes, again, bad])), valid=0.2, test=0.1).read()
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [14, 4, 2]
    assert sorted((*splits.train, *splits.valid, *splits.test)) == sorted(tunes)
    assert "1 of 22 tunes are left out; the first: " in splits.notes[0] and "'?' is no music" in splits.notes[0]
    assert splits.notes[1] == "1 of 22 tunes come again, and are taken once"
    more = TuneBook(book(tmp_path, "\n".join(tunes)), valid=0.2, test=0.1, transpose=True).read()
    assert more.valid == splits.valid and set(splits.train) < set(more.train)
    assert all(parse_tune(text).metre_error() == "" for text in more.train)


@pytest.mark.parametrize(
    "text, what",
    [
        ("", "it is empty"),
        ("no tune\n", "there is no tune in it"),
        (b"\x00\x01\xff\xfe" * 50, "book.abc"),
        ("X:1\nT:A\nK:C\nA&|\n", "line 4: '&' is no music"),
        (tune(0, 0), "1 tunes are too few to split"),
    ],
)
def test_what_is_no_tune_book_is_refused(tmp_path, text, what):
    with pytest.raises(DataError, match=what.replace("?", r"\?")):
        TuneBook(book(tmp_path, text)).read()
    with pytest.raises(DataError, match="there is no file"):
        TuneBook(str(tmp_path / "none.abc")).read()


def test_every_character_of_a_tune_counts_once():
    splits = TuneBook(number=30).read()
    preprocessor = TuneText(CharTokenizer())
    tokenizer = preprocessor.tokenizer.fit("".join(preprocessor.texts(splits.train + splits.valid).values()))
    task = Tunes(splits, preprocessor, batch_size=4)
    evaluated = task.eval_sets("valid")["teacher_forced"]
    batches = [evaluated.batches[number] for number in range(evaluated.batches.epoch)]
    said = []
    for batch in batches:
        assert batch.mask is None and not batch.carries_state
        said += [tokenizer.decode(row[there]) for row, there in zip(batch.targets, batch.loss_mask, strict=True)]
        assert all(row[0] == tokenizer.encode("\n")[0] for row in batch.inputs)
    assert sorted(said) == sorted(text + "\n" for text in splits.valid)
    assert sum(batch.positions for batch in batches) == sum(len(text) + 1 for text in splits.valid)
    assert evaluated.derived(log(2))["bits_per_character"] == pytest.approx(1.0)
    first, again = task.train_batches()[5], task.train_batches()[5]
    assert torch.equal(first.inputs, again.inputs)


def test_a_chord_is_the_sum_of_its_voices(tmp_path):
    data = {"train": [[[60, 64, 60, -1], [], [70]]], "valid": [[[48, 52]]], "test": []}
    (tmp_path / "small.json").write_text(json.dumps(data))
    splits = ChoraleBook(str(tmp_path / "small.json")).read()
    assert splits.train == (((64, 60), (), (70,)),) and splits.test == ()
    task = Chorales(splits, ChoralePitches(), batch_size=1)
    batch = task.train_batches()[0]
    assert batch.targets[batch.loss_mask].tolist() == [45, 41, 1, 1, 51, 1, 0]
    values = task.eval_sets("valid")["teacher_forced"].derived(log(90))
    assert values["chord_nll"] == pytest.approx(4 * log(90))  # two voices, and two ends
    assert task.eval_sets("test") == task.generation_sets("test") == {}


def test_a_chorale_goes_from_chords_to_ids_and_back():
    preprocessor, chords = ChoralePitches(), list(ChoraleBook(number=10).read().train[0])
    ids = preprocessor.encode(chords).input.tolist()
    assert preprocessor.chords(ids) == chords and preprocessor.ended(ids)
    assert not preprocessor.ended(ids[:-1]) and not preprocessor.ended(ids[:1])
    with pytest.raises(ConfigError, match="'60 c' is not a chord"):
        preprocessor.begin("72 60, 60 c")
    document = preprocessor.decode((0, ids, True), {})
    found, _, _ = read_midi(document.files()[".mid"])
    assert {pitch for start, end, pitch in found if start <= 0 < end} == set(chords[0])
    assert len(found) == len(as_score(chords).notes) < sum(map(len, chords))  # what stays is held


def test_the_shares_of_generated_documents_are_counted():
    chorales = ChoraleShares()
    good = ChoraleBook(number=10).read().train[0]
    for number, chords in enumerate([good, [(60, 64)], [(64, 60, 50, 48, 40)], []]):
        preprocessor = ChoralePitches()
        chorales.update(preprocessor.decode((number, preprocessor.ids(chords), number < 3), {}))
    assert chorales.compute() == {"documents": 4, "ended": 0.75, "well_formed": 0.25}
    tunes = TuneShares()
    for text in (
        tune(0, 3),
        "no tune",
        "X:1\nT:A\nM:2/4\nL:1/4\nK:G\nG A|B|G A|\n",
        "X:1\nT:A\nM:2/4\nL:1/4\nK:G\nG|A B|\n",
    ):
        tunes.update(TuneDocument(0, text, True))
    assert tunes.compute() == {"documents": 4, "ended": 1, "parses": 0.75, "full_bars": 0.5, "keeps_metre": 0.25}
    assert TuneShares().compute() == {"documents": 0}


def test_the_grammar_keeps_four_voices():
    for score in ChoraleBook(number=60).read().train:
        assert all(len(chord) == 4 and list(chord) == sorted(chord, reverse=True) for chord in score)
        assert len(score) % 8 == 0


@pytest.mark.parametrize(
    "text, what",
    [
        ("", "is empty"),
        ("[1]", "holds no JSON object"),
        ('{"train":\n[[[60, 64]],\n oops', "line 3: expecting value"),
        (b"\n\xff\xfe\x00", "line 2 is not UTF-8"),
        ('{"valid": [[[60]]]}', "there is no piece in train"),
        ('{"train": 3}', "train is no list"),
        ('{"train": [[[60], 64]]}', "train, piece 1, chord 2 is no list"),
        ('{"train": [[[60]], [[60], [60, 200]]]}', "train, piece 2, chord 2: 200 is no pitch"),
        ('{"train": [[["c"]]]}', "train, piece 1, chord 1: 'c' is no pitch"),
        ('{"train": [[]]}', "train, piece 1 is empty"),
    ],
)
def test_what_are_no_chorales_is_refused_with_file_and_place(tmp_path, text, what):
    file = tmp_path / "bad.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=f"bad.json.*{what}"):
        ChoraleBook(str(file)).read()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small run of each kind."""
    folder = tmp_path_factory.mktemp("music")
    for name in ("music", "chorales"):
        recipe = load_recipe(name, [*SMALL, "task.documents=2", "data.number=20"])
        *_, end = Experiment.new(recipe, folder / name)
        assert end.results["valid/generated/documents"] == 2.0
        wanted = {
            "music": {"valid/generated/parses", "valid/generated/keeps_metre"},
            "chorales": {"valid/generated/well_formed"},
        }
        assert wanted[name] <= set(end.results)
    return folder


def test_documents_come_as_they_end_and_the_same_seed_writes_the_same(runs):
    writer = Run.load(runs / "chorales").pipeline()
    preprocessor = writer.preprocessor
    first, again, other = (
        {one.number: one for one in generate_documents(writer.model, preprocessor, 60, 40, Sampling(), seed)}
        for seed in (3, 3, 4)
    )
    assert first == again != other and sorted(first) == list(range(60))
    for document in first.values():
        assert document.ended == (document.ids[-1] == 0 and len(document.ids) > 1)
        assert 0 not in document.ids[1:-1] and len(document.ids) <= 41
        assert document.ended or len(document.ids) == 41
    (begun,) = writer.generate_documents(1, 5, Sampling(), prompt="67 60")
    assert begun.chords[0] == (67, 60)
    fewer = {one.number: one for one in generate_documents(writer.model, preprocessor, 2, 40, Sampling(), 3)}
    assert all(first[number] == document for number, document in fewer.items())


def test_an_evaluation_writes_the_same_documents_every_time(runs):
    run = Run.load(runs / "music")
    writer = run.pipeline()
    assert isinstance(writer, TuneWriter) and writer.sampling == Sampling(0.7)
    assert run.pipeline(temperature=0.5).sampling == Sampling(0.5)
    numbers = [{"number": 1}, {"number": 0}]
    one, other = writer.predict(numbers)
    assert (one.number, other.number) == (1, 0) and [one, other] == list(writer.predict(numbers))
    assert run.evaluate("valid")["valid/generated/documents"] == 2


def run_command(*words):
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    return end.value.code


def test_documents_are_written_as_files(runs, tmp_path, capsys):
    assert (
        run_command("sample", runs / "chorales", "--to", tmp_path / "out", "--count", 3, "--length", 30, "--json") == 0
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed["documents"] == 3 and set(printed) == {"documents", "ended", "well_formed"}
    assert sorted(p.name for p in (tmp_path / "out").glob("c*")) == [
        f"chorale-{n}.{e}" for n in (1, 2, 3) for e in ("mid", "wav")
    ]
    read_midi((tmp_path / "out/chorale-2.mid").read_bytes())
    samples((tmp_path / "out/chorale-2.wav").read_bytes())
    assert run_command("sample", runs / "chorales", "--to", tmp_path / "out") == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert run_command("sample", runs / "music", "--to", tmp_path / "tunes", "--count", 2, "--length", 30) == 0
    assert "parses 0.0000, full bars 0.0000, keeps metre 0.0000" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "tunes").glob("t*")) == ["tune-1.abc", "tune-2.abc"]  # no tunes as yet
    assert run_command("sample", runs / "chorales") == 2
    assert "does not go on with a text" in capsys.readouterr().err


def test_a_good_tune_is_written_as_all_three(runs, tmp_path):
    run = Run.load(runs / "music")
    text = tune(0, 3)
    ids = run.preprocessor.encode(text).input.tolist()
    assert run.preprocessor.ended(ids) and not run.preprocessor.ended(ids[:-1])
    found = run.preprocessor.decode((0, ids, True), {}).files()
    assert found[".abc"].decode() == text and set(found) == {".abc", ".mid", ".wav"}
    assert [pitch for *_, pitch in read_midi(found[".mid"])[0]] == [
        n.pitch for n in sorted(parse_tune(text).score().notes)
    ]
    assert len(samples(found[".wav"])) > 10 * RATE


def test_ctrl_c_loses_nothing_that_is_written(runs, tmp_path, monkeypatch, capsys):
    written = Writer.generate_documents

    def interrupted(*options):
        yield from islice(written(*options), 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "generate_documents", interrupted)
    assert run_command("sample", runs / "chorales", "--to", tmp_path / "out", "--count", 5, "--length", 30) == 0
    assert len(list(Path(tmp_path / "out").glob("*.mid"))) == 2
    assert "stopped: 2 of 5" in capsys.readouterr().err.replace("\n", " ")


def test_a_model_that_writes_no_documents_says_so(tmp_path, capsys):
    recipe = load_recipe("char-lm", [*SMALL, "train.minutes=0", "data.limit=3000", "task.batch_size=2"])
    list(Experiment.new(recipe, tmp_path / "text"))
    assert run_command("sample", tmp_path / "text", "--to", tmp_path / "out") == 2
    assert "this model writes no whole documents" in capsys.readouterr().err
    list(Experiment.new(load_recipe("parity", SMALL), tmp_path / "toy"))
    assert run_command("sample", tmp_path / "toy", "--to", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


def test_chorales_know_when_they_change():
    one = Splits((((60,),),))
    assert one.fingerprint == Splits((((60,),),)).fingerprint != Splits((((60,), ()),)).fingerprint


def test_books_as_people_write_them(tmp_path):
    one, other = "M:2/4\nL:1/8\nK:{}\n{}", ("GABc|d4|]", "AGFE|D4|]")
    folk = "\n\n".join(one.format(key, music) for key, music in zip("GD", other, strict=True))
    joined = "".join(f"X:{n}a\nT:{n}\n{one.format('G', music)}\n" for n, music in enumerate(other))
    for text in (folk, joined):
        found = TuneBook(book(tmp_path, text), valid=0.0).read()
        assert len(found.train) == 2 and found.notes == (), text
        assert all(tune.startswith("X:1\nT:") and parse_tune(tune).metre_error() == "" for tune in found.train)
    named = "X:1\nM:2/4\nL:1/8\nH:from a book\nwithout a cover\nV:1\nK:G\nV:1\nGABc$|d4|]\n"
    (tune,) = TuneBook(book(tmp_path, named), valid=0.0).read().train
    assert tune == "X:1\nT:Untitled\nM:2/4\nL:1/8\nK:G\nGABc$|d4|]\n"
    bad = TuneBook(book(tmp_path, f"{joined}X:9\nT:9\nK:G\n&|\n"), valid=0.0).read()
    assert len(bad.train) == 2 and "1 of 3 tunes are left out" in bad.notes[0] and "line 16" in bad.notes[0]

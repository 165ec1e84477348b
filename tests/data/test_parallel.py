"""Parallel text: what is found, how it is read, and what is refused with file and line."""

import gzip

import pytest
import torch

from unspool import Batch
from unspool.data.batching.buckets import Buckets
from unspool.data.parallel import Parallel
from unspool.data.preprocessors.parallel import prepared
from unspool.data.punctuation import join_punctuation, split_punctuation
from unspool.errors import ConfigError, DataError

GERMAN, ENGLISH = ["Zwei Männer.", "Ein Hund!"], ["Two men (old).", "A man's dog."]


def written(folder, **files):
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder)


@pytest.fixture
def folder(tmp_path):
    both = {"train_de": "\n".join(GERMAN) + "\n", "train_en": "\n".join(ENGLISH)}  # with and without a last line break
    return written(tmp_path, **both)


def test_a_folder_is_read_plain_or_packed_and_stays_raw(folder, tmp_path):
    pairs = Parallel(folder).read()
    assert [pair["source"] for pair in pairs.train] == GERMAN and [pair["target"] for pair in pairs.train] == ENGLISH
    assert not pairs.valid and not pairs.test
    assert [prepared(line) for line in GERMAN] == ["zwei männer .", "ein hund !"]
    assert [prepared(line) for line in ENGLISH] == ["two men ( old ) .", "a man 's dog ."]
    assert prepared("A  man's hat", lower=False, split=False) == "A man's hat"
    packed = tmp_path / "packed"
    packed.mkdir()
    for name, lines in (("train.de.gz", GERMAN), ("train.en.gz", ENGLISH)):
        (packed / name).write_bytes(gzip.compress("\n".join(lines).encode()))
    again = Parallel(str(packed)).read()
    assert again.train == pairs.train and again.fingerprint == pairs.fingerprint
    assert Parallel(folder, limit=1).read().train == pairs.train[:1]
    assert Parallel(folder).from_stdin(pairs) == ""


def test_the_other_way_round_and_parts_by_their_names(folder, tmp_path):
    written(tmp_path, val_de="drei\n", val_en="three\n")
    for name, text in (("test_2016_flickr.de", "vier"), ("test_2016_flickr.en", "four")):
        (tmp_path / name).write_text(text)
    pairs = Parallel(folder, source="en", target="de").read()
    assert pairs.valid == [{"source": "three", "target": "drei"}]
    assert pairs.test == [{"source": "four", "target": "vier"}]
    assert len(pairs.files) == 6 and pairs.files[0].endswith("train.en")
    one_by_one = Parallel(train_path=f"{folder}/val", valid_path=f"{folder}/train").read()
    assert one_by_one.train[0]["target"] == "three" and len(one_by_one.valid) == 2 and not one_by_one.test


def test_lines_end_at_line_breaks_alone(tmp_path):
    folder = written(tmp_path, train_de="eins\u2028und\x0c zwei\r\ndrei\r\n", train_en="\ufeffone\nthree")
    pairs = Parallel(folder).read().train
    assert [prepared(pair["source"], split=False) for pair in pairs] == ["eins und zwei", "drei"]
    assert prepared(pairs[0]["target"]) == "one" and pairs[1]["target"] == "three"


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"train_en": "a\nb\nc\n"}, r"train\.de ends after line 2, and its partner has 3 lines"),
        ({"train_en": "a\n"}, r"train\.en ends after line 1, and its partner has 2 lines"),
        ({"train_en": "a\n \n"}, r"train\.en: line 2 is empty"),
        ({"train_en": ""}, r"train\.en: it is empty"),
        ({"train_en": b"a\ncaf\xe9\n"}, r"train\.en, line 2: byte 0xe9 is not UTF-8"),
        ({"val_de": "a"}, r"val\.de has no partner in 'en'"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(folder, tmp_path, files, complaint):
    written(tmp_path, **files)
    with pytest.raises(DataError, match=complaint) as error:
        Parallel(folder).read()
    assert error.value.hint


def test_a_broken_archive_is_said_with_its_line(tmp_path):
    text = "\n".join(f"line {number} {hash(number) * 7919 % 10007}" for number in range(9000)).encode()
    packed = gzip.compress(text)
    for data, line in ((packed[: len(packed) // 2], "line [2-8],"), (b"no archive", "line 1 ")):
        (tmp_path / "train.de.gz").write_bytes(data)
        (tmp_path / "train.en.gz").write_bytes(packed)
        with pytest.raises(DataError, match=rf"train\.de\.gz is no whole gzip file, {line}"):
            Parallel(str(tmp_path)).read()


def test_what_is_missing_is_said(folder, tmp_path):
    with pytest.raises(ConfigError, match="no sentences"):
        Parallel()
    with pytest.raises(ConfigError, match="both 'de'"):
        Parallel("x", source="de", target="de")
    with pytest.raises(DataError, match=r"there is no file .*train\.fr"):
        Parallel(folder, source="fr").read()
    with pytest.raises(DataError, match=r"there is no file .*other\.de"):
        Parallel(folder, test_path=f"{tmp_path}/other").read()


@pytest.mark.parametrize("line", ["A man's T-shirt, (blue) one.", "Wait; what?", "Don't stop!", "plain"])
def test_what_is_taken_apart_goes_together_again(line):
    apart = split_punctuation(line)
    assert join_punctuation(apart) == line and split_punctuation(line) == split_punctuation(apart)
    assert split_punctuation(join_punctuation(apart)) == apart


@pytest.mark.parametrize("pool", [0, 1, 3, 100])
def test_every_row_comes_once_an_epoch_and_a_batch_follows_from_its_number(pool):
    lengths = torch.randint(1, 50, (101,)).tolist()

    def gather(rows):
        ids = rows.unsqueeze(1)
        return Batch(ids, ids, torch.ones_like(ids, dtype=torch.bool))

    one, same, other = (Buckets(lengths, 8, gather, pool, seed) for seed in (1, 1, 2))
    assert one.epoch == 13
    orders = [[one[n].inputs.flatten().tolist() for n in range(13 * e, 13 * e + 13)] for e in range(2)]
    for order in orders:
        assert sorted(row for rows in order for row in rows) == list(range(101))
    assert [same[n].inputs.flatten().tolist() for n in reversed(range(13))][::-1] == orders[0]
    differs = [other[n].inputs.flatten().tolist() for n in range(13)] != orders[0]
    assert differs == bool(pool) and (orders[0] != orders[1]) == bool(pool)
    spread = sum(max(lengths[r] for r in rows) - min(lengths[r] for r in rows) for rows in orders[0]) / 13
    assert spread < {0: 10, 1: 50, 3: 20, 100: 10}[pool]


def test_pairs_of_a_table_are_split_by_shares(tmp_path):
    rows = [f"{n} eins\t{n} one" for n in range(20)]
    (tmp_path / "a.tsv").write_text("\n".join(["de\ten", *rows, "\t"]) + "\n")
    splits = Parallel(path=f"{tmp_path}/a.tsv", valid=0.1, test=0.2).read()
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [14, 2, 4]
    assert all(record["target"] == record["source"].replace("eins", "one") for record in splits.train)
    with pytest.raises(DataError, match="there is no column 'fr'"):
        Parallel(path=f"{tmp_path}/a.tsv", source="fr").read()


def test_a_share_of_the_pairs_is_held_out_where_there_are_no_files(tmp_path):
    for language in ("de", "en"):
        (tmp_path / f"train.{language}").write_text("".join(f"{n}\n" for n in range(20)))
    splits = Parallel(path=str(tmp_path), valid=0.1).read()
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [18, 2, 0]
    assert sorted(int(record["source"]) for record in (*splits.train, *splits.valid)) == list(range(20))
    assert len(Parallel(path=str(tmp_path)).read().train) == 20, "nothing is held out unless it is asked for"
    with pytest.raises(DataError, match="too few sentences to split"):
        Parallel(path=str(tmp_path), valid=0.5, test=0.49, limit=2).read()

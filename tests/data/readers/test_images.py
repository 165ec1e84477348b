"""Images: from a file or a drawn scene to patches, and every way in which a file can be wrong."""

import io
import json
import random
import shutil
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from unspool.data.pictures import CaptionedImages, LabelledImages
from unspool.data.readers.images import FORMATS, netpbm, numbers, patches, pixels, read_image, shape
from unspool.data.synthetic.scenes import COLOURS, HELD_OUT, OTHERS, SHAPES, Thing, captions, painted, relation, scene
from unspool.errors import ConfigError, DataError


def png(colour="red", size=(6, 4), mode="RGB", format="PNG"):
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, format)
    return out.getvalue()


def noise(format):
    out = io.BytesIO()
    Image.frombytes("RGB", (60, 60), random.Random(0).randbytes(60 * 60 * 3)).save(out, format)
    return out.getvalue()


def test_patches_are_pieces_in_reading_order():
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    cut = patches(image.tobytes(), 4, 2, 2)
    for number, (row, column) in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
        assert cut[number].tolist() == image[row : row + 2, column : column + 2].flatten().tolist()
    lines = patches(image.tobytes(), 4, *shape(4, 1, 0))
    assert [line.tolist() for line in lines] == [line.flatten().tolist() for line in image]
    assert numbers(cut).min() == -1.0 and numbers(torch.tensor([255], dtype=torch.uint8)).item() == 1.0
    with pytest.raises(ConfigError, match=r"preprocessor.patch_width=3") as refused:
        shape(32, 4, 3)
    assert "preprocessor.patch_width=2" in refused.value.hint


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_read_and_resized(format):
    image = np.frombuffer(pixels(png("blue", (9, 5), format=format), "a", 8), np.uint8).reshape(8, 8, 3)
    assert abs(image.astype(int) - [0, 0, 255]).max() <= 3


def test_what_is_transparent_is_white_and_grey_is_grey():
    assert set(pixels(png((255, 0, 0, 0), mode="RGBA"), "a", 4)) == {255}
    assert set(pixels(png(128, mode="L"), "a", 4)) == {128}
    for format in ("PNG", "TIFF", "PPM"):
        for value, wanted in ((0, 0), (257, 1), (0x8080, 128), (65_535, 255)):
            assert set(pixels(png(value, mode="I;16", format=format), "a", 4)) == {wanted}, (format, value)
    turned = Image.new("RGB", (2, 1))
    turned.putpixel((0, 0), (255, 255, 255))
    tag = turned.getexif()
    tag[0x0112] = 3  # a camera held upside down
    out = io.BytesIO()
    turned.save(out, "PNG", exif=tag)
    assert np.frombuffer(pixels(out.getvalue(), "a", 2), np.uint8).reshape(2, 2, 3)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is not an image"),
        (bytes(range(256)) * 9, "is not an image"),
        (png(size=(60, 60))[:90], "is not a whole image"),
        (noise("JPEG")[:1500], "is not a whole image"),
        (png(7, mode="F", format="TIFF"), "pixels of 32 bits"),
        (partial(png, 1, mode="1", size=(20_000, 10_000)), "too many pixels"),
        (partial(png, 1, mode="1", size=(10_000, 10_000)), "too many pixels"),
    ],
    ids=["empty", "a program", "noise", "half a png", "half a jpeg", "floats", "a bomb", "half a bomb"],
)
def test_a_broken_file_is_one_sentence(data, sentence):
    data = data() if callable(data) else data  # the bombs take a second to make
    with pytest.raises(DataError, match=sentence) as refused:
        pixels(data, "cat.png", 8)
    assert "cat.png" in str(refused.value) and "\n" not in str(refused.value) and refused.value.hint


@pytest.mark.parametrize("seed", range(5))
def test_bytes_turned_over_are_an_image_or_a_sentence(seed):
    random_, whole_ = random.Random(seed), {f: bytearray(png(size=(20, 20), format=f)) for f in FORMATS}
    for format, data in whole_.items():
        for _ in range(40):
            broken = bytearray(data)
            for _ in range(random_.randint(1, 5)):
                broken[random_.randrange(len(broken))] = random_.randrange(256)
            try:
                assert len(pixels(bytes(broken), format, 8)) == 8 * 8 * 3
            except DataError as error:
                assert format in str(error)


def test_an_image_is_a_path_bytes_or_pixels(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    wanted = pixels((tmp_path / "a.png").read_bytes(), "a.png", 8)
    for image in (
        str(tmp_path / "a.png"),
        tmp_path / "a.png",
        (tmp_path / "a.png").read_bytes(),
        array,
        array.tolist(),
    ):
        assert read_image(image, 8) == wanted
    square = array[:4]
    assert read_image(square, 4) == square.tobytes() == read_image(netpbm(square.tobytes()), 4)
    for image, sentence in (
        (tmp_path / "gone.png", "there is no file .*gone.png"),
        ("a\0b", "is not the name of a file"),
        (tmp_path, "is a folder"),
        (array[0], r"shape \(4, 3\) is not an image"),
        (b"P6\n4 4\n255\n", "is not"),
    ):
        with pytest.raises(DataError, match=sentence) as refused:
            read_image(image, 4)
        assert refused.value.hint


def test_a_scene_follows_from_seed_and_number():
    scenes = [scene(1, number, most=3) for number in range(300)]
    assert scenes == [scene(1, number, most=3) for number in range(300)]
    assert scenes != [scene(2, number, most=3) for number in range(300)]
    assert {len(things) for things in scenes} == {1, 2, 3}
    assert {(t.colour, t.shape) for things in scenes for t in things} == OTHERS
    hidden = {(t.colour, t.shape) for n in range(300) for t in scene(1, n, 3, HELD_OUT)}
    assert hidden == HELD_OUT and not HELD_OUT & OTHERS and len(HELD_OUT | OTHERS) == len(COLOURS) * len(SHAPES)
    assert {colour for colour, _ in HELD_OUT} == set(COLOURS) and {shape for _, shape in HELD_OUT} == set(SHAPES)
    assert np.array_equal(painted(scenes[0], 32, 5), painted(scenes[0], 32, 5))
    assert not np.array_equal(painted(scenes[0], 32, 5), painted(scenes[0], 32, 6))


def test_what_is_painted_is_where_and_what_it_should_be():
    for number in range(60):
        things = scene(0, number, most=3, among=OTHERS | HELD_OUT)
        image = painted(things, 64, number).astype(float)
        for thing in things:
            reach = 0.75 * thing.radius if thing.shape == "ring" else 0.0
            pixel = image[int(thing.y * 64), int((thing.x + reach) * 64)]
            nearest = min(COLOURS, key=lambda name, pixel=pixel: float(abs(pixel - COLOURS[name]).sum()))
            assert nearest == thing.colour
            centre = image[int(thing.y * 64), int(thing.x * 64)]
            assert (np.ptp(centre) < 40) == (thing.shape == "ring"), "a ring alone is empty"


def test_relations_are_the_truth_seen_from_either_side():
    turned = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    for number in range(200):
        things = scene(3, number, most=3)
        for one in things:
            for other in things:
                if one is not other:
                    across, down = one.x - other.x, one.y - other.y
                    assert abs(abs(across) - abs(down)) > 0.1 and max(abs(across), abs(down)) > one.radius
                    wanted = {"left of": -across, "right of": across, "above": -down, "below": down}
                    assert relation(one, other) == max(wanted, key=wanted.get) == turned[relation(other, one)]
        said = captions(things)
        assert said[0].startswith(str(min(things, key=lambda thing: thing.x))), "from left to right"
        assert len(said) == len(set(said)) <= {1: 1, 2: 2, 3: 6}[len(things)]
    ring, square = Thing("orange", "ring", False, 0.2, 0.2), Thing("blue", "square", True, 0.3, 0.8)
    assert captions((ring, square, ring._replace(x=0.8)))[0] == (
        "a large orange ring above a small blue square and left of a large orange ring"
    )


def test_no_scene_is_in_two_parts_and_half_are_unseen_outside_training():
    found = CaptionedImages(scenes=100, things=2, valid=0.2, test=0.1).read()
    assert [len(part) for part in (found.train, found.valid, found.test)] == [70, 20, 10]
    names = [record["name"] for part in (found.train, found.valid, found.test) for record in part]
    assert len(set(names)) == 100
    assert [sum(r["unseen"] for r in part) for part in (found.train, found.valid, found.test)] == [0, 10, 5]
    for record in found.valid:
        for caption in record["captions"]:
            words = caption.split()
            pairs = {(a, b) for a, b in pairwise(words) if a in COLOURS}
            assert pairs <= (HELD_OUT if record["unseen"] else OTHERS)
    again = CaptionedImages(scenes=100, things=2, valid=0.2, test=0.1).read()
    assert again.fingerprint == found.fingerprint
    assert CaptionedImages(scenes=100, things=1, valid=0.2, test=0.1).read().fingerprint != found.fingerprint


def test_a_table_names_images_and_captions(tmp_path):
    (tmp_path / "red.png").write_bytes(png())
    (tmp_path / "blue.jpg").write_bytes(png("blue", format="JPEG"))
    (tmp_path / "captions.csv").write_text(
        'file,caption\nred.png,"Red, all over."\nblue.jpg,It is blue\nred.png,A red wall\n'
    )
    for path in (tmp_path, tmp_path / "captions.csv"):
        found = CaptionedImages(path=str(path), side=4, valid=0.0, scenes=5).read()
        assert {r["name"]: r["captions"] for r in found.train} == {
            "red.png": ["Red, all over.", "A red wall"],
            "blue.jpg": ["It is blue"],
        }
        assert {r["name"]: read_image(r["image"], 4)[:3] for r in found.train}["red.png"] == bytes([255, 0, 0])
    fingerprint, moved = CaptionedImages(path=str(tmp_path), valid=0.0).read().fingerprint, tmp_path / "moved"
    shutil.copytree(tmp_path, moved)
    assert CaptionedImages(path=str(moved), valid=0.0).read().fingerprint == fingerprint
    (moved / "red.png").write_bytes(png("green"))
    assert CaptionedImages(path=str(moved), valid=0.0).read().fingerprint != fingerprint
    rows = [{"image": "red.png", "text": "One"}, {"image": "blue.jpg", "text": "Two"}]
    (tmp_path / "captions.csv").unlink()
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "valid.jsonl").write_text(json.dumps(rows[1]))
    found = CaptionedImages(path=str(tmp_path), file="image", caption="text").read()
    assert [len(found.train), len(found.valid)] == [2, 1] and found.valid[0]["captions"] == ["Two"]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("gone.png,A cat", r"captions.csv, line 3: there is no file .*gone.png"),
        ("text.png,A cat", "captions.csv, line 3: text.png is not an image"),
        ("half.png,A cat", "captions.csv, line 3: half.png is not a whole image"),
        ("folder,A cat", "captions.csv, line 3: .*folder is a folder"),
        ("red.png,", "captions.csv, line 3: there is no caption"),
        (",A cat", "captions.csv, line 3: there is no file"),
        ("red.png,A cat,more", "captions.csv, line 3: 3 fields"),
    ],
)
def test_a_wrong_row_is_one_sentence_with_file_and_line(tmp_path, row, sentence):
    (tmp_path / "red.png").write_bytes(png())
    (tmp_path / "text.png").write_text("a text")
    (tmp_path / "half.png").write_bytes(png(size=(60, 60))[:90])
    (tmp_path / "folder").mkdir()
    (tmp_path / "captions.csv").write_text(f"file,caption\nred.png,A wall\n{row}\n")
    with pytest.raises(DataError, match=sentence) as refused:
        for record in CaptionedImages(path=str(tmp_path), valid=0.0).read().train:
            read_image(record["image"], 4)
    assert refused.value.hint and "\n" not in str(refused.value)


def test_what_is_no_folder_of_captions_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no captions.csv or train.csv in the folder"):
        CaptionedImages(path=str(tmp_path)).read()
    with pytest.raises(DataError, match="there is no file"):
        CaptionedImages(path=str(tmp_path / "gone.csv")).read()
    (tmp_path / "captions.csv").write_text("name,caption\na.png,b\n")
    with pytest.raises(DataError, match="line 2: there is no column 'file'"):
        CaptionedImages(path=str(tmp_path)).read()
    (tmp_path / "captions.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="is not text"):
        CaptionedImages(path=str(tmp_path)).read()
    for options, sentence in (({}, "no images are given"), ({"scenes": 9, "things": 4}, "room for three")):
        with pytest.raises(ConfigError, match=sentence):
            CaptionedImages(**options)


def test_a_folder_for_each_label(tmp_path):
    for part in ("train", "test"):
        for label, colour in (("cat", "red"), ("dog", "blue")):
            (tmp_path / part / label).mkdir(parents=True)
            (tmp_path / part / label / "1.PNG").write_bytes(png(colour))
    found = LabelledImages(path=str(tmp_path), side=4, valid=0.0).read()
    assert sorted(r["label"] for r in found.train) == ["cat", "dog"] == sorted(r["label"] for r in found.test)
    assert {r["label"]: read_image(r["image"], 4)[:3] for r in found.test} == {"cat": b"\xff\0\0", "dog": b"\0\0\xff"}
    (tmp_path / "train" / "cat" / "2.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"train/cat/2.jpg is not an image"):
        LabelledImages(path=str(tmp_path)).read()
    (tmp_path / "train" / "cat" / "2.jpg").write_bytes(png())
    (tmp_path / "loose.png").write_bytes(png())
    with pytest.raises(DataError, match=r"loose.png: there is no label"):
        LabelledImages(path=str(tmp_path)).read()
    with pytest.raises(DataError, match=r"no .png or .jpg"):
        (tmp_path / "empty").mkdir()
        LabelledImages(path=str(tmp_path / "empty")).read()
    drawn = LabelledImages(scenes=200).read()
    assert {r["label"] for r in drawn.train} == set(SHAPES) and len(drawn.valid) == 20

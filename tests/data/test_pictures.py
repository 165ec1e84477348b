"""Tables of images and captions as people have them: what cannot be used is left out and counted."""

import io
import random

import pytest
from PIL import Image

from unspool.data.pictures import CaptionedImages, LabelledImages
from unspool.data.readers.images import check_image, pixels, read_image
from unspool.errors import DataError

MODES = ("RGB", "L", "LA", "RGBA", "CMYK", "P", "1", "I;16", "YCbCr")


def encoded(format="JPEG", mode="RGB", size=(40, 30)):
    """A file of noise, so that a part of it is not enough."""
    noise = random.Random(0).randbytes(3 * size[0] * size[1])
    image = Image.frombytes("RGB", size, noise)
    image = Image.new("I;16", size, 40_000) if mode == "I;16" else image.convert(mode)
    data = io.BytesIO()
    image.save(data, format)
    return data.getvalue()


BAD = {
    "missing": None,
    "empty": b"",
    "half": encoded()[:400],
    "text": b"no image at all",
    "half a png": encoded("PNG")[:300],
    "32 bits": encoded("TIFF", "F"),
}


def folder_of(tmp_path, bad=(), rows=20, named="train.csv", encoding="utf-8", delimiter=","):
    """A folder with images of several kinds and a table of two captions each."""
    lines = [f"file{delimiter}caption"]
    for number in range(rows):
        name = f"Ä photo {number}.JPG"
        (tmp_path / name).write_bytes(encoded(mode="CMYK" if number % 2 else "L"))
        lines += [f"{name}{delimiter}A man {number} walks", f"{name}{delimiter}Somebody {number}"]
    for name in bad:
        if BAD[name] is not None:
            (tmp_path / f"{name}.jpg").write_bytes(BAD[name])
        lines.append(f"{name}.jpg{delimiter}a {name} file")
    (tmp_path / named).write_text("\n".join(lines), encoding=encoding)


@pytest.mark.parametrize("bad", BAD)
def test_one_bad_image_among_many_is_left_out_and_counted(tmp_path, bad):
    folder_of(tmp_path, [bad])
    splits = CaptionedImages(path=str(tmp_path), valid=0.2).read()
    assert len(splits.train) == 16 and len(splits.valid) == 4
    assert any("left out 1 of 41 rows" in note and f"{bad}.jpg" in note for note in splits.notes), splits.notes
    for record in splits.train:
        assert len(read_image(record["image"], 8)) == 3 * 64 and len(record["captions"]) == 2


def test_many_bad_images_are_an_error_that_says_where(tmp_path):
    folder_of(tmp_path, list(BAD), rows=10)
    with pytest.raises(DataError, match=r"train\.csv, line 22: there is no file 'missing\.jpg'"):
        CaptionedImages(path=str(tmp_path), valid=0.0).read()


def test_rows_without_a_caption_or_a_file_are_counted(tmp_path):
    folder_of(tmp_path)
    with open(tmp_path / "train.csv", "a", encoding="utf-8") as file:
        file.write("\nÄ photo 0.JPG,  \n,a man\n")
    splits = CaptionedImages(path=str(tmp_path), valid=0.0).read()
    assert sum(len(record["captions"]) for record in splits.train) == 40
    assert any("left out 2 of 42 rows" in note and "there is no caption" in note for note in splits.notes)


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8-sig", ";"), ("utf-16", "\t"), ("latin-1", ",")])
def test_tables_as_spreadsheets_write_them(tmp_path, encoding, delimiter):
    folder_of(tmp_path, encoding=encoding, delimiter=delimiter)
    assert len(CaptionedImages(path=str(tmp_path), valid=0.0).read().train) == 20


def test_wrong_columns_are_one_sentence(tmp_path):
    (tmp_path / "captions.csv").write_text("image,text\na.png,a man\n")
    with pytest.raises(DataError, match=r"line 2: there is no column 'file'"):
        CaptionedImages(path=str(tmp_path)).read()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_every_kind_of_pixel_is_checked_as_it_is_read(mode, format):
    try:
        data = encoded(format, mode)
    except OSError:
        pytest.skip("no such file")
    check_image(data, "a")
    assert len(pixels(data, "a", 4)) == 48
    for cut in (10, len(data) // 2):
        for read in (check_image, lambda *given: pixels(*given, 4)):
            with pytest.raises(DataError):
                read(data[:cut], "a")


def test_one_bad_labelled_image_is_left_out_and_counted(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(10):
            (tmp_path / label / f"{number}.png").write_bytes(encoded("PNG"))
    (tmp_path / "cat" / "half.jpg").write_bytes(BAD["half"])
    splits = LabelledImages(path=str(tmp_path), valid=0.0).read()
    assert len(splits.train) == 20 and "left out 1 of 21 images" in splits.notes[0]
    for number in range(5):
        (tmp_path / "cat" / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="is not an image"):
        LabelledImages(path=str(tmp_path), valid=0.0).read()

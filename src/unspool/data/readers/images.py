"""Images: files to pixels, and pixels to a sequence of patches."""

import hashlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from annotated_types import Gt, Le
from jaxtyping import Float, UInt8
from torch import Tensor

from unspool.data.readers.text import unreadable
from unspool.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile as PillowFile

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # none that runs another program
ImageSide = Annotated[int, Gt(0), Le(2**14)]
"""So many pixels the side of a square image has."""
LARGEST = 32_000_000
"""So many pixels an image has at most: it takes up to 20 bytes for each while it is read."""
HEADER = re.compile(rb"P6\n(\d{1,6}) \d{1,6}\n")
ORIENTATION, TURNED = 0x0112, 5
"""The EXIF tag of the orientation, and its first value that swaps width and height."""
ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm")


@dataclass(frozen=True, repr=False)
class ImageFile:
    """An image file that was found at a place in the data; it is read when it is needed.

    Two are shown and fingerprinted by what is in them, wherever their folder is.

    Args:
        path: of the file.
        place: where the data names it, for error messages.
        digest: the SHA-256 of its bytes.
    """

    path: str
    place: str
    digest: str

    def __repr__(self) -> str:
        return f"ImageFile({self.digest})"


def find_image(path: Path, place: str) -> ImageFile:
    """An image file, which must be there and whole. Raises: DataError that says where it is named."""
    try:
        data = file_bytes(str(path), path.name)
        check_image(data, path.name)
        return ImageFile(str(path), place, hashlib.sha256(data).hexdigest())
    except DataError as error:
        raise DataError(f"{place}: {error}", hint=error.hint) from None


def file_bytes(path: str, name: str) -> bytes:
    """What is in a file. Raises: DataError where it cannot be read."""
    try:
        return Path(os.path.expanduser(path)).read_bytes()
    except OSError as error:
        raise unreadable(name, error) from None
    except ValueError:
        raise DataError(f"{name!r} is not the name of a file", hint="correct its name") from None


def read_image(image: Any, side: int) -> bytes:
    """The red, green and blue of an image, row by row, resized to `side` times `side` pixels.

    Args:
        image: the path of a file, an `ImageFile`, the bytes of a file, or the pixels (H, W, 3) from 0 to 255.
        side: of the result, in pixels.

    Raises:
        DataError: for what is no image, is not whole, or cannot be read.

    >>> read_image(netpbm(bytes(12)), 2) == bytes(12)
    True
    """
    if isinstance(image, ImageFile):
        try:
            return pixels(file_bytes(image.path, os.path.basename(image.path)), os.path.basename(image.path), side)
        except DataError as error:
            raise DataError(f"{image.place}: {error}", hint=error.hint) from None
    if isinstance(image, bytes):
        return pixels(image, "the image", side)
    if isinstance(image, str | os.PathLike):
        return pixels(file_bytes(os.fspath(image), os.fspath(image)), os.fspath(image), side)
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise DataError(f"an array of the shape {array.shape} is not an image", hint="give (height, width, 3)")
    return pixels(netpbm(array.astype(np.uint8).tobytes(), array.shape[1]), "the image", side)


def aspect_ratio(image: Any) -> float:
    """The width of an image by its height, as `read_image` takes it, before it is resized.

    >>> aspect_ratio(np.zeros((2, 3, 3))), aspect_ratio(netpbm(bytes(18), 3))
    (1.5, 1.5)
    """
    if isinstance(image, ImageFile):
        image = image.path
    if not isinstance(image, bytes | str | os.PathLike):
        height, width = np.asarray(image).shape[:2]
    elif isinstance(image, bytes) and netpbm_width(image):
        width = netpbm_width(image)
        height = len(image.partition(b"\n255\n")[2]) // (3 * width)
    else:
        from PIL import Image

        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image, formats=FORMATS) as file:
            turned = file.getexif().get(ORIENTATION, 1) >= TURNED
            width, height = reversed(file.size) if turned else file.size
    return width / height


def netpbm(image: bytes, width: int = 0) -> bytes:
    r"""Pixels as the bytes of an image file, in the format PPM; a square image without a width.

    >>> netpbm(bytes(12))[:11]
    b'P6\n2 2\n255\n'
    """
    width = width or side_of(image)
    return b"P6\n%d %d\n255\n" % (width, len(image) // (3 * width)) + image


def netpbm_width(data: bytes) -> int:
    """How wide an image in the format PPM is, in pixels; 0 for bytes of another format.

    >>> netpbm_width(netpbm(bytes(12))), netpbm_width(b"GIF89a")
    (2, 0)
    """
    header = HEADER.match(data)
    return int(header[1]) if header else 0


def pixels(data: bytes, name: str, side: int) -> bytes:
    """The red, green and blue of an image file, row by row, resized to `side` times `side` pixels.

    What is transparent becomes white, and of a moving picture the first frame is taken. Errors: DataError for what is
    no image, is not whole, or is too large.
    """
    raw = data.removeprefix(b"P6\n%d %d\n255\n" % (side, side))
    if len(raw) == 3 * side * side < len(data):
        return raw  # drawn scenes need no Pillow
    with opened(data, name) as file:
        from PIL import Image, ImageOps

        image = ImageOps.exif_transpose(file)
        if is_deep_grey(image.mode, file.format):
            image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))  # 65535 becomes 255
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        plain = Image.alpha_composite(white, layered).convert("RGB")
        return plain.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0).tobytes()


def check_image(data: bytes, name: str) -> None:
    """Raise DataError for an image file that `pixels` cannot read; a JPEG is decoded at an eighth of its size.

    >>> check_image(netpbm(bytes(12)), "a.ppm")
    """
    with opened(data, name) as file:
        file.draft("RGB", (1, 1))
        file.load()


@contextmanager
def opened(data: bytes, name: str) -> "Iterator[PillowFile]":
    """An image file while it is decoded. Raises: DataError for what is no image, is not whole, or is too large."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"reading {name} needs Pillow", hint="pip install 'pillow>=10'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that is odd
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as file:
                if file.width * file.height > LARGEST:
                    raise Image.DecompressionBombError
                if file.mode[0] in "IF" and not is_deep_grey(file.mode, file.format):
                    raise DataError(f"{name} has pixels of 32 bits", hint="save it with 8 bits a colour")
                yield file
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise DataError(
            f"{name} has too many pixels: more than {LARGEST / 1e6:.0f} million",
            hint="make it smaller: it is resized anyway",
        ) from None
    except Image.UnidentifiedImageError:
        raise DataError(f"{name} is not an image", hint=f"save it as one of {', '.join(FORMATS)}") from None
    except DataError:
        raise
    except Exception as error:  # what decodes broken bytes may raise anything
        reason = str(error).splitlines()[0] if str(error) else "it ends too early"
        raise DataError(f"{name} is not a whole image: {reason}", hint="save it again") from None


def is_deep_grey(mode: str, format: str | None) -> bool:
    """Whether pixels are one number of 16 bits, in a mode and a file format as Pillow names them.

    >>> is_deep_grey("I;16", "TIFF"), is_deep_grey("I", "PNG"), is_deep_grey("I", "TIFF")
    (True, True, False)
    """
    return mode.startswith("I;16") or (mode == "I" and format in ("PNG", "PPM"))


def patches(image: bytes, side: int, height: int, width: int) -> UInt8[Tensor, "S {height}*{width}*3"]:
    """Pieces of a square image in reading order, each as its red, green and blue, row by row.

    >>> patches(bytes(range(48)), side=4, height=2, width=4).shape
    torch.Size([2, 24])
    """
    whole = torch.from_numpy(np.frombuffer(image, np.uint8).copy()).view(side, side, 3)
    pieces = whole.view(side // height, height, side // width, width, 3).transpose(1, 2)
    return pieces.reshape(-1, height * width * 3)


def unpatched(sequence: Tensor, across: int, height: int, width: int) -> Tensor:
    """The image (down * height, across * width, 3) of which these (S, height * width * 3) are the patches.

    >>> image = bytes(range(48))
    >>> unpatched(patches(image, side=4, height=2, width=4), across=1, height=2, width=4).flatten().tolist()[:3]
    [0, 1, 2]
    """
    grid = sequence.reshape(-1, across, height, width, 3).transpose(1, 2)
    return grid.reshape(-1, across * width, 3)


def rows(image: bytes) -> list[list[list[int]]]:
    """A square image as rows of pixels, each its red, green and blue.

    >>> rows(bytes(range(12)))
    [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    """
    side = side_of(image)
    return np.frombuffer(image, np.uint8).reshape(side, side, 3).tolist()


def side_of(image: bytes) -> int:
    """How many pixels the side of a square image has.

    >>> side_of(bytes(48))
    4
    """
    return isqrt(len(image) // 3)


def shape(side: int, height: int, width: int) -> tuple[int, int]:
    """Height and width of a patch, where 0 stands for the whole side. Errors: ConfigError where they do not fit.

    >>> shape(32, 1, 0)
    (1, 32)
    """
    found = height or side, width or side
    for key, value in zip(("patch_height", "patch_width"), found, strict=True):
        if side % value:
            fit = max(n for n in range(1, min(value, side) + 1) if side % n == 0)
            raise ConfigError(
                f"images of {side} x {side} pixels cannot be cut in patches with preprocessor.{key}={value}",
                hint=f"set preprocessor.{key}={fit}, or preprocessor.side to a multiple of {value}",
            )
    return found


def numbers(sequence: UInt8[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
    """Pixels as a model reads them, from -1 (dark) to 1 (bright).

    >>> numbers(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
    [-1.0, 1.0]
    """
    return sequence.float() / 127.5 - 1

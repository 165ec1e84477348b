"""Which words lie together in the encoder of a phrase translator: phrase pairs are cut out of a parallel text first.

    python benchmarks/phrase_pairs.py FOLDER --out phrases [--seeds 0,1,2] [--steps 6000] [--plot FILE.png]

FOLDER has `train.en.gz` and `train.de.gz`, as Multi30k has. As in Cho et al. 2014 (arXiv:1406.1078), a GRU reads an
English phrase of at most four words, and its last state is all that another GRU sees, which writes the German phrase.
Their pairs come from a phrase table; ours from word alignments (IBM's model 1, both directions). No label says what a
word is. Afterwards the vectors of single words are compared by class, `CLASSES`, beside those of random weights.
"""

import argparse
import gzip
from collections import Counter
from pathlib import Path

import numpy as np

from unspool import Run, load_recipe
from unspool.experiment.experiment import Experiment
from unspool.files import write_text

Sentence = list[str]
ROUNDS = 6
"""Of EM."""
DIAGONAL = 4.0
"""How much less likely a word is linked the further it is from its place in the other sentence (Dyer et al. 2013)."""
CLASSES = {
    "colour": "red blue green white black yellow brown orange pink purple gray tan golden",
    "number": "two three four five six seven eight",
    "person": "man woman boy girl child person lady guy toddler baby gentleman kid",
    "clothing": "shirt hat jacket jeans dress shorts pants coat helmet cap suit sunglasses sweater tie skirt vest",
    "place": "street beach park field sidewalk kitchen building store restaurant lake river road city forest pool room",
    "animal": "dog cat horse cow bird sheep elephant bull puppy goat donkey",
    "instrument": "guitar drums violin piano saxophone trumpet flute accordion cello keyboard",
    "sport": "soccer football basketball baseball tennis hockey volleyball rugby golf",
    "vehicle": "car truck bus bike bicycle motorcycle boat train scooter van tractor taxi",
    "body": "hand hands head face arms legs feet hair back shoulder eyes mouth",
}
"""Chosen before anything was measured: words that Multi30k has ten times or more."""
GRU = 'kind="recurrent", cell="gru", input_width=64, width=128'
SETTINGS = [
    "tokenizer.min_count=20", "source_tokenizer.min_count=20", "task.batch_size=128", "data.valid=0.01",
    f"encoder={{{GRU}}}", f'core={{{GRU}, conditioning="initial"}}',
    "train.min_steps=1", "train.threads=1", "train.precision=float32", "train.schedule=linear", "evaluate.times=1",
]  # fmt: skip
"""Of the recipe `translate`."""


def read_pairs(folder: Path, source: str, target: str) -> list[tuple[Sentence, Sentence]]:
    """The sentence pairs of `train.en.gz` and `train.de.gz`, in lower case, as words."""
    sides = [
        gzip.decompress((folder / f"train.{language}.gz").read_bytes()).decode().splitlines()
        for language in (source, target)
    ]
    return [(words(a), words(b)) for a, b in zip(*sides, strict=True) if a.strip() and b.strip()]


def words(line: str) -> Sentence:
    """Lower-case words, with punctuation apart from them."""
    return "".join(c if c.isalnum() or c in "-'" else f" {c} " for c in line.lower()).split()


def links(pairs: list[tuple[Sentence, Sentence]]) -> list[np.ndarray]:
    """For each word of a target the position of the source word that it translates (IBM's model 1, by EM)."""
    known: tuple[dict[str, int], dict[str, int]] = ({}, {})
    ids = [[np.array([known[k].setdefault(w, len(known[k])) for w in pair[k]]) for k in (0, 1)] for pair in pairs]
    couples = [np.repeat(b, len(a)) + len(known[1]) * np.tile(a, len(b)) for a, b in ids]
    prior = np.concatenate([np.exp(-DIAGONAL * abs(at(b)[:, None] - at(a))).ravel() for a, b in ids])
    sizes = np.repeat([len(a) for a, _ in ids], [len(b) for _, b in ids])  # candidates of each target word
    groups, starts = np.repeat(np.arange(len(sizes)), sizes), np.cumsum(sizes) - sizes
    distinct, place = np.unique(np.concatenate(couples), return_inverse=True)
    sources, table = distinct // len(known[1]), np.ones(len(distinct))  # p(target word | source word)
    for _ in range(ROUNDS):
        weights = table[place] * prior
        weights /= np.bincount(groups, weights)[groups]
        counts = np.bincount(place, weights)
        table = counts / np.bincount(sources, counts)[sources]
    weights = table[place] * prior
    best = [int(np.argmax(weights[start : start + size])) for start, size in zip(starts, sizes, strict=True)]
    return np.split(np.array(best), np.cumsum([len(b) for _, b in ids])[:-1])


def at(ids: np.ndarray) -> np.ndarray:
    """The positions of a sentence's words as shares of its length."""
    return (np.arange(len(ids)) + 0.5) / len(ids)


def phrase_pairs(pairs: list[tuple[Sentence, Sentence]], longest: int = 4) -> Counter[tuple[str, str]]:
    """How often each pair of phrases occurs whose words are linked to none outside, the first and the last among them.

    Args:
        pairs: sentences with their translations.
        longest: words of a source phrase at most; the target may have one more.
    """
    to_source, to_target = links(pairs), links([(b, a) for a, b in pairs])
    found: Counter[tuple[str, str]] = Counter()
    for (source, target), back, forth in zip(pairs, to_source, to_target, strict=True):
        linked = {i: j for i, j in enumerate(forth.tolist()) if back[j] == i}  # both directions agree
        origin = {j: i for i, j in linked.items()}
        for first in linked:
            for last in (i for i in range(first, first + longest) if i in linked):
                ends = [linked[i] for i in range(first, last + 1) if i in linked]
                low, high = min(ends), max(ends)
                inside = [origin[j] for j in range(low, high + 1) if j in origin]
                if high - low <= longest and first <= min(inside) and max(inside) <= last:
                    found[" ".join(source[first : last + 1]), " ".join(target[low : high + 1])] += 1
    return found


def write_data(folder: Path, out: Path) -> int:
    """Write each distinct pair without punctuation into pairs.tsv, and the classes; how many pairs there are."""
    out.mkdir(parents=True, exist_ok=True)
    found = [f"{a}\t{b}" for a, b in phrase_pairs(read_pairs(folder, "en", "de")) if not set(a + b) & set('.,"!?:;()')]
    classes = [f"{group}\t{word}" for group, some in CLASSES.items() for word in some.split()]
    for name, lines in (("pairs.tsv", ["source\ttarget", *found]), ("classes.txt", classes)):
        write_text(out / name, "\n".join(lines) + "\n")
    return len(found)


def train(out: Path, name: str, settings: list[str]) -> Run:
    """A finished run in the folder."""
    list(Experiment.new(load_recipe("translate", [*SETTINGS, f"data.path={out / 'pairs.tsv'}", *settings]), out / name))
    return Run.load(out / name)


def precisions(run: Run, out: Path) -> dict[str, float]:
    """By class: how many of a word's five nearest words, by the encoder's last state, are of its class."""
    view = run.look("a red shirt").view("phrases", file=out / "classes.txt", pooling="final")
    chance = {f"{group}, chance": one.chance for group, one in view.precision.items()}
    return {group: one.value for group, one in view.precision.items()} | chance


def draw(run: Run, out: Path, path: Path) -> None:
    """The words in a plane by t-SNE (Barnes-Hut, van der Maaten 2014), as the paper draws its phrases."""
    from sklearn.manifold import TSNE

    from unspool.look.canvas import COLOURS, Picture, labels, plain
    from unspool.look.phrases import phrase_vectors

    named = [(group, word) for group, some in CLASSES.items() for word in some.split()]
    vectors = phrase_vectors(run.model, run.preprocessor, [word for _, word in named], "final")
    places = TSNE(perplexity=8.0, metric="cosine", init="pca", random_state=0).fit_transform(vectors.numpy())
    picture = Picture(8.0, 6.5)
    axes = picture.axes[0]
    for number, group in enumerate(CLASSES):
        some = [place for place, (one, _) in zip(places.tolist(), named, strict=True) if one == group]
        style = {"color": COLOURS[number % len(COLOURS)], "marker": "os^"[number // len(COLOURS)]}
        axes.scatter(*zip(*some, strict=True), s=22, linewidths=0, label=group, **style)
    labels(axes, [word for _, word in named], places.tolist(), size=8, align="left", offset=(4, 0), sparse=True)
    plain(axes)
    axes.set(xticks=[], yticks=[])
    picture.legend(axes, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=5)
    picture.save(path)


def main() -> None:
    """Cut the pairs, train, and print the precision of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("phrases"))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    print(f"{write_data(options.folder, options.out):,} pairs of phrases", flush=True)
    for seed in options.seeds.split(","):
        for name, steps in (("random", 0), ("run", options.steps)):
            budget = [f"train.steps={max(1, steps)}", "train.epochs=0.0", f"seed={seed}"]
            run = train(options.out, f"{name}-{seed}", budget + ([] if steps else ["train.learning_rate=1e-9"]))
            found = precisions(run, options.out)
            print(f"{name}-{seed}: {'  '.join(f'{k} {v:.2f}' for k, v in found.items())}", flush=True)
    if options.plot:
        draw(run, options.out, options.plot)


if __name__ == "__main__":
    main()

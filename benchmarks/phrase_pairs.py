"""Which words lie together in the encoder of a phrase translator: phrase pairs are cut out of a parallel text first.

    python benchmarks/phrase_pairs.py FOLDER [--text news] [--out phrases] [--seeds 0,1,2] [--steps 20000] [--plot PNG]

FOLDER has English and German side by side, line by line: `NAME.en` and `NAME.de`, also in folders of its own, gzipped
(`.en.gz`) or not. Two texts are known here, each with classes of words, `CLASSES`:

- captions: Multi30k's `train.en.gz` and `train.de.gz` (github.com/multi30k/dataset, `data/task1/raw`);
- news: WMT's tests of 2008 to 2020, `testsets/de-en/news*` and `testsets/en-de/news*` of
  github.com/Helsinki-NLP/OPUS-MT-testsets: 39,116 distinct pairs of sentences, each month 80 times or more in them.

As in Cho et al. 2014 (arXiv:1406.1078), a GRU reads an English phrase of at most four words, and its last state is all
that another GRU sees, which writes the German phrase. Their pairs come from a phrase table; ours from word alignments
(IBM's model 1, both directions). No label says what a word is. Afterwards the vectors of single words are compared by
class, beside those of random weights.
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
CAPTIONS = {
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
NEWS = {
    "month": "January February March April May June July August September October November December",
    "weekday": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "year": "2005 2006 2007 2008 2009 2010 2011 2012 2013 2014 2015 2016",
    "number": "two three four five six seven eight nine ten eleven twelve",
    "time": "minute minutes hour hours day days week weeks month months year years decade decades century",
    "amount": "hundreds thousands million millions billion thousand hundred euros dollars pounds crowns dollar",
    "country": "Germany China Russia Iran France America Ukraine Mexico Britain Spain Syria India Canada Italy Turkey",
    "nationality": "German American British Russian French Chinese Italian Spanish Iranian Turkish Czech Swiss Greek",
    "city": "London Paris Berlin Washington Frankfurt Munich Prague Moscow Barcelona Hamburg Brussels Vienna Rome",
    "politician": "Trump Obama Merkel Clinton Biden Putin Johnson Bush Erdogan Corbyn Pelosi Rouhani Zelensky",
    "company": "Google Facebook Twitter Tesla Microsoft Amazon Boeing IBM VW Apple",
    "profession": "president minister director doctor teacher lawyer professor judge journalist actor mayor singer",
    "person": "man woman men women child children boy girl boys girls people person",
    "family": "father mother son daughter brother sister wife husband parents",
    "body": "hand hands head face heart eyes eye arm arms leg hair mouth brain foot feet",
    "vehicle": "car cars bus buses train trains plane planes ship helicopter aircraft vehicle vehicles boat",
    "building": "house school hospital church hotel museum restaurant castle factory airport station prison shop",
}
CLASSES = {"captions": CAPTIONS, "news": NEWS}
"""Chosen before anything was measured: words that occur ten times or more in the captions, 24 or more in the news."""
ALIKE = "month", "year", "country", "city"
"""Groups of phrases of one form, "in January", "in 2012", "in Germany" and "in Berlin", where the text has them."""
FILES = {"captions": "train.en*", "news": "news*.en*"}
OWN = {
    "captions": ["tokenizer.min_count=20"],
    "news": ["tokenizer.min_count=40", "model.init_range=0.017", "preprocessor.lower=false"],
}
"""Settings of a text. German words of fewer pairs are unknown: 2,200 to 2,300 remain, as the last layer takes most of
the time. Rare words of long initial embeddings keep their random neighbours, so the news begin at a standard deviation
of 0.01, as the paper does."""
STEPS = {"captions": 6000, "news": 20_000}
STARTS = set(".!?:;\"'-\u2013\u201c\u201d\u201e\u00ab\u00bb")
"""Behind these a word may have a capital letter for its place alone."""
GRU = 'kind="recurrent", cell="gru", input_width=64, width=128'
SETTINGS = [
    "source_tokenizer.min_count=20", "task.batch_size=128", "data.valid=0.01",
    f"encoder={{{GRU}}}", f'core={{{GRU}, conditioning="initial"}}',
    "train.min_steps=1", "train.threads=1", "train.precision=float32", "train.schedule=linear", "evaluate.times=1",
]  # fmt: skip
"""Of the recipe `translate`."""


def read_pairs(folder: Path, text: str) -> list[tuple[Sentence, Sentence]]:
    """The pairs of sentences of a folder as words: captions in lower case, news in true case and each pair once."""
    found: list[tuple[str, str]] = []
    for path in sorted(folder.rglob(FILES[text])):
        other = path.with_name(path.name.replace(".en", ".de"))
        found += zip(lines(path), lines(other), strict=True)
    found = list(dict.fromkeys(found)) if text == "news" else found  # most of the news are there in both directions
    sides = [[words(pair[side]) for pair in found if all(map(str.strip, pair))] for side in (0, 1)]
    if text == "captions":
        sides = [[[word.lower() for word in sentence] for sentence in side] for side in sides]
    else:
        sides = [true_case(side) for side in sides]
    return list(zip(*sides, strict=True))


def lines(path: Path) -> list[str]:
    """Of a text, gzipped or not."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode().rstrip("\n").split("\n")


def words(line: str) -> Sentence:
    """The words of a line, with punctuation apart from them."""
    return "".join(c if c.isalnum() or c in "-'" else f" {c} " for c in line).split()


def true_case(sentences: list[Sentence]) -> list[Sentence]:
    """First words in the case that they have most often elsewhere; all others as they were written."""
    first = [[at == 0 or sentence[at - 1] in STARTS for at in range(len(sentence))] for sentence in sentences]
    both = [list(zip(*pair, strict=True)) for pair in zip(sentences, first, strict=True)]
    counts = Counter(word for sentence in both for word, start in sentence if not start)
    usual = {word.lower(): word for word, _ in reversed(counts.most_common())}
    return [[usual.get(word.lower(), word) if start else word for word, start in sentence] for sentence in both]


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


def write_data(folder: Path, text: str, out: Path) -> int:
    """Write each distinct pair without punctuation into pairs.tsv, and the classes; how many pairs there are."""
    out.mkdir(parents=True, exist_ok=True)
    pairs = phrase_pairs(read_pairs(folder, text))
    marks = {c for pair in pairs for c in "".join(pair) if not c.isalnum()} - set("-' ")
    marks = set('.,"!?:;()') if text == "captions" else marks
    found = [f"{a}\t{b}" for a, b in pairs if not set(a + b) & marks]
    classes = [f"{group}\t{word}" for group, some in CLASSES[text].items() for word in some.split()]
    alike = [f"{group}\tin {word}" for group in ALIKE for word in CLASSES[text].get(group, "").split()]
    for name, some in (("pairs.tsv", ["source\ttarget", *found]), ("words.txt", classes), ("phrases.txt", alike)):
        if some:
            write_text(out / name, "\n".join(some) + "\n")
    return len(found)


def train(out: Path, name: str, settings: list[str]) -> Run:
    """A finished run in the folder."""
    list(Experiment.new(load_recipe("translate", [*SETTINGS, f"data.path={out / 'pairs.tsv'}", *settings]), out / name))
    return Run.load(out / name)


def precisions(run: Run, file: Path) -> dict[str, float]:
    """By class: how many of a word's five nearest words, by the encoder's last state, are of its class."""
    view = run.look("a red shirt").view("phrases", file=file, pooling="final")
    chance = {f"{group}, chance": one.chance for group, one in view.precision.items()}
    return {group: one.value for group, one in view.precision.items()} | chance


def draw(run: Run, text: str, path: Path) -> None:
    """The words in a plane by t-SNE (Barnes-Hut, van der Maaten 2014), as in the paper, and a zoom on the months."""
    from sklearn.manifold import TSNE

    from unspool.look.canvas import COLOURS, FAINT, Picture, labels, plain
    from unspool.look.phrases import phrase_vectors

    named = [(group, word) for group, some in CLASSES[text].items() for word in some.split()]
    vectors = phrase_vectors(run.model, run.preprocessor, [word for _, word in named], "final")
    places = TSNE(perplexity=8.0, metric="cosine", init="pca", random_state=0).fit_transform(vectors.numpy())
    months = places[[group == "month" for group, _ in named]]
    views = [np.array([places.min(0) - 2, places.max(0) + 2])] + ([around(months)] if len(months) else [])
    picture = Picture(8.0, 5.5 * len(views), rows=len(views))
    for axes, (low, high) in zip(picture.axes, views, strict=True):
        inside = ((places > low) & (places < high)).all(1)
        for number, group in enumerate(CLASSES[text]):
            some = places[inside & [one == group for one, _ in named]]
            style = {"color": COLOURS[number % len(COLOURS)], "marker": "os^"[number // len(COLOURS)]}
            axes.scatter(*some.T, s=22, linewidths=0, label=group, **style)
        shown = [word for (_, word), there in zip(named, inside, strict=True) if there]
        labels(axes, shown, places[inside].tolist(), size=8, align="left", offset=(4, 0), sparse=True)
        plain(axes)
        right = high[0] + 0.12 * (high[0] - low[0])  # room for names
        axes.set(xticks=[], yticks=[], xlim=(low[0], right), ylim=(low[1], high[1]))
    for low, high in views[1:]:
        picture.axes[0].fill_between([low[0], high[0]], low[1], high[1], facecolor="none", edgecolor=FAINT)
    picture.legend(picture.axes[0], fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=6)
    picture.save(path)


def around(places: np.ndarray, share: float = 0.8) -> np.ndarray:
    """The lower left and the upper right corner of a square that has most of the places."""
    middle = np.median(places, 0)
    half = 1.15 * np.quantile(abs(places - middle).max(1), share)
    return np.array([middle - half, middle + half])


def main() -> None:
    """Cut the pairs, train, and print the precision of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", choices=CLASSES, default="captions")
    parser.add_argument("--out", type=Path, default=Path("phrases"))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, help="6,000 of the captions, 20,000 of the news")
    parser.add_argument("--plot", type=Path, help="a picture of the last seed's words")
    options = parser.parse_args()
    print(f"{write_data(options.folder, options.text, options.out):,} pairs of phrases", flush=True)
    for seed in options.seeds.split(","):
        for name, steps in (("random", 0), ("run", options.steps or STEPS[options.text])):
            budget = [f"train.steps={max(1, steps)}", "train.epochs=0.0", f"seed={seed}", *OWN[options.text]]
            run = train(options.out, f"{name}-{seed}", budget + ([] if steps else ["train.learning_rate=1e-9"]))
            for file in sorted(options.out.glob("*.txt")):
                found = precisions(run, file)
                print(f"{name}-{seed}, {file.stem}: {'  '.join(f'{k} {v:.2f}' for k, v in found.items())}", flush=True)
    if options.plot:
        draw(run, options.text, options.plot)


if __name__ == "__main__":
    main()

"""Translation from files to BLEU: batches by hand, scores against sacrebleu, a run that is judged and loaded again."""

import json
import math
import random
from collections import Counter

import pytest
import torch

from conftest import trained
from unspool import Run, Tokens, tokenizers
from unspool.batch import Batch
from unspool.build import model as build_model
from unspool.cli import main
from unspool.data.parallel import Pair, Parallel
from unspool.data.splits import Splits
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.metrics.text import bleu, bleus, sacrebleu_scores
from unspool.recipe import load_recipe
from unspool.tasks.legacy import tasks
from unspool.tasks.translate import Translate

DE = ["eins zwei drei", "zwei", "drei drei eins zwei"]
EN = ["one two three", "two", "three three one two"]


def translate(kind="word", **options):
    pairs = tuple(Pair(a, b, b.capitalize()) for a, b in zip(DE, EN, strict=True))
    splits = Splits(pairs, pairs[:2])
    texts = Translate.texts(splits.train)
    fitted = {name: tokenizers.build(name, kind).fit(texts[name]) for name in ("tokenizer", "source_tokenizer")}
    return tasks.build("task", {"kind": "translate", "batch_size": 2, **options}, splits=splits, **fitted)


@pytest.mark.parametrize("kind", ["word", "char", "byte", "bpe"])
def test_a_batch_is_the_sentences_between_line_breaks(kind):
    task = translate(kind)
    said = {}
    for number in range(task.train_batches().epoch):
        batch = task.train_batches()[number]
        assert torch.equal(batch.loss_mask, batch.mask)
        assert torch.equal(batch.inputs[:, 1:][batch.mask[:, 1:]], batch.targets[:, :-1][batch.mask[:, 1:]])
        for row in range(len(batch.inputs)):
            source = task.source_tokenizer.decode(batch.source[row, batch.source_mask[row]])
            target = task.tokenizer.decode(batch.targets[row, batch.loss_mask[row]])
            assert source[-1] == target[-1] == "\n" and batch.inputs[row, 0] == task.edge
            said[source[:-1]] = target[:-1]
    assert said == dict(zip(DE, EN, strict=True))
    assert task.exams("valid")["taught"].epoch == 1 and task.exams("test") == {}
    assert task.inputs == task.targets == Tokens(task.tokenizer.size)


def test_a_source_is_read_backwards_and_its_end_stays_the_end():
    ahead, behind = translate(), translate(backwards=True)
    for pair in behind.pairs["train"]:
        forward, reverse = ahead.row(pair), behind.row(pair)
        assert reverse[0].tolist() == [*forward[0].tolist()[-2::-1], ahead.source_edge]
        assert torch.equal(forward[1], reverse[1])
        assert behind.ask(pair.source, Parallel(path="x", source="de", target="en")).source == reverse[0].tolist()


def test_right_words_are_marked_and_a_tokenizer_without_a_line_break_is_refused():
    task = translate()
    batch = task.exams("valid")["taught"][0]
    perfect = torch.nn.functional.one_hot(batch.targets, task.targets.size).float()
    assert task.mark(perfect, batch) == {"accuracy": (6.0, 6.0)}  # 3 + 1 words and two ends
    assert task.mark(perfect.roll(1, -1), batch) == {"accuracy": (0.0, 6.0)}
    assert task.figures("valid", 0.0, {"accuracy": 1.0}) == {"loss": 0.0, "perplexity": 1.0, "accuracy": 1.0}
    splits = Splits((Pair("a", "b", "b"),))
    word, printable = tokenizers.build("t", "word").fit("a b"), tokenizers.build("t", "byte")
    with pytest.raises(DataError, match="line break"):
        tasks.build("task", "translate", splits=splits, tokenizer=word, source_tokenizer=printable)


def test_what_is_written_is_judged_in_the_order_of_the_file():
    task = translate()
    pairs = zip(DE, EN, strict=True)
    known = {tuple(task.source_tokenizer.encode(a).tolist()): task.tokenizer.encode(b).tolist() for a, b in pairs}

    def perfect(source, source_mask, *, begin, end, length, width=1, length_penalty=0.0):
        rows = [tuple(row[there].tolist())[:-1] for row, there in zip(source, source_mask, strict=True)]
        return [known[row] for row in rows]

    assert task.written("train", perfect) == EN
    found = task.finals("train", trained(write=perfect))[0]["written"]
    assert found["bleu"] == pytest.approx(100.0) and found["bleu_to_8"] == pytest.approx(100.0)
    assert "bleu_beyond" not in found, "no source is that long"
    assert "diagonal" not in found, "nothing looks"

    def straight(batch):
        at = torch.arange(batch.targets.shape[1]).clamp(max=batch.source.shape[1] - 1)
        one = torch.nn.functional.one_hot(at, batch.source.shape[1]).float()
        return [one.expand(len(batch.targets), 2, -1, -1)]

    figures, drawn = task.finals("train", trained(write=perfect, looks=straight))
    assert figures["written"]["diagonal"] == 1.0
    shown = drawn["attention"].panels
    assert [(panel.rows, panel.columns) for panel in shown] == [
        ([*en.split(), "\\n"], [*de.split(), "\\n"]) for de, en in zip(DE, EN, strict=True)
    ]
    assert all(torch.equal(torch.tensor(panel.values), torch.eye(len(panel.rows))) for panel in shown)


def sentences(random_, number):
    return [[random_.choice("abcdef.,") for _ in range(random_.randint(0, 15))] for _ in range(number)]


def bleus_by_definition(written, wanted):
    """Papineni et al. 2002, equations 2 and 3, for n-grams up to one, two, three and four words."""
    right, said, ours, theirs = [0] * 4, [0] * 4, 0, 0
    for words, answers in zip(written, wanted, strict=True):
        ours += len(words)
        theirs += min(map(len, answers), key=lambda length: (abs(length - len(words)), length))
        for n in range(4):
            most = Counter()
            for answer in answers:
                most |= Counter(zip(*(answer[k:] for k in range(n + 1)), strict=False))
            mine = Counter(zip(*(words[k:] for k in range(n + 1)), strict=False))
            right[n], said[n] = right[n] + (mine & most).total(), said[n] + mine.total()
    brevity = min(0.0, 1 - theirs / ours) if ours else 0.0
    logs = [math.log(r / s) if r else -math.inf for r, s in zip(right, said, strict=True)]
    return [100 * math.exp(sum(logs[: n + 1]) / (n + 1) + brevity) for n in range(4)]


def test_bleu_on_words_is_as_it_is_defined():
    random_ = random.Random(0)
    for number in (0, 1, 1, 2, 3, 40):
        ours, wanted = sentences(random_, number), sentences(random_, number)
        ours = [o if random_.random() < 0.5 else [*w[:9], "x"] for o, w in zip(ours, wanted, strict=True)]
        several = [[w, *sentences(random_, random_.randint(0, 3))] for w in wanted]
        assert bleus(ours, several) == pytest.approx(bleus_by_definition(ours, several), abs=1e-9)
        assert bleu(ours, wanted) == pytest.approx(bleus_by_definition(ours, [[w] for w in wanted])[3], abs=1e-9)
    assert bleu([["a"]], [["a"]]) == 0.0 and bleu([[]], [["a", "b"]]) == 0.0  # no run of four
    scores = sacrebleu_scores(["A man, old."], ["a man, old."], lower=True)
    assert scores["sacrebleu"] == pytest.approx(100.0) and scores["chrf"] == pytest.approx(100.0)
    assert "case:lc" in scores["sacrebleu_signature"] and "tok:13a" in scores["sacrebleu_signature"]


def test_a_core_that_cannot_look_is_refused_and_widths_follow_the_encoder():
    encoder = {"kind": "recurrent", "width": 6}
    for core in ({"kind": "recurrent", "width": 8}, {"kind": "convolutional", "width": 8}):
        with pytest.raises(ConfigError, match="does not look at it"):
            build_model({"core": core, "encoder": encoder}, Tokens(5), Tokens(5), Tokens(4))
    for core in (
        {"kind": "recurrent", "width": 8, "looks": "always", "source_width": 0},
        {"kind": "transformer", "width": 8, "looks": True},
        {"kind": "attention-rnn", "width": 8},
    ):
        made = build_model({"core": core, "encoder": encoder}, Tokens(5), Tokens(5), Tokens(4))
        ids = torch.zeros(2, 3, dtype=torch.long)
        batch = Batch(ids, ids, ids == 0, source=ids)
        made.loss(batch)[0].backward()
        assert all(p.grad is not None for p in made.parameters())


def corpus(folder):
    """Numbers said digit by digit: quickly learned, and never the same twice."""
    random_, words = random.Random(1), {"null": "zero", "eins": "one", "zwei": "two", "drei": "three", "vier": "four"}
    for part, number in (("train", 600), ("valid", 40), ("test", 40)):
        rows = [random_.choices(list(words), k=random_.randint(1, 6)) for _ in range(number)]
        (folder / f"{part}.de").write_text("".join(" ".join(row).capitalize() + ".\n" for row in rows))
        (folder / f"{part}.en").write_text("".join(" ".join(map(words.get, row)).capitalize() + ".\n" for row in rows))
    return folder


def test_a_run_learns_is_judged_by_what_it_writes_and_says_so(tmp_path, capsys):
    overrides = ["encoder.width=32", "core.width=32", "core.input_width=32", "encoder.input_width=32"]
    overrides += ["train.epochs=0", "train.steps=150", "train.learning_rate=0.01", "train.threads=1", "model.dropout=0"]
    overrides += [
        "train.precision=float32",
        "evaluate.times=1",
        "tokenizer.min_count=1",
        f"data.path={corpus(tmp_path)}",
    ]
    recipe = load_recipe("translate-attention", [*overrides, "task.beam=3", "task.length_penalty=0.6"])
    results = list(Experiment.new(recipe, tmp_path / "run"))[-1].results
    assert results["valid_taught_accuracy"] > 0.9 and results["valid_written_bleu"] > 80
    assert all(isinstance(value, float) for value in results.values())
    figures = Run.load(tmp_path / "run").evaluate("valid")
    assert figures["written"]["bleu"] == pytest.approx(results["valid_written_bleu"])
    with pytest.raises(SystemExit) as stopped:
        main(["eval", str(tmp_path / "run"), "--split", "test", "--json"])
    assert stopped.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"taught", "written"} and told["written"]["bleu"] > 80

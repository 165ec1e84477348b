"""Translation from files to BLEU: batches by hand, scores against sacrebleu, a run evaluated and loaded again."""

import json
import math
import random
from collections import Counter

import pytest
import torch

from helpers.models import Predicting
from unspool import Run, Tokens, tokenizers
from unspool.batch import Batch
from unspool.build import model as build_model
from unspool.cli import main
from unspool.data.predictions import Failure, Text
from unspool.data.preprocessors.parallel import ParallelText, prepared
from unspool.data.preprocessors.preprocessor import load_preprocessor, save_preprocessor
from unspool.data.splits import Splits
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.generate.attention import source_attention
from unspool.generate.engine import Engine
from unspool.look.attention import cross_attention
from unspool.metrics.labels import Accuracy
from unspool.metrics.text import Bleu, LineScores, bleu, bleus, sacrebleu_scores
from unspool.recipe import load_recipe
from unspool.runs.evaluation import evaluate_generation
from unspool.tasks.task import tasks

DE = ["eins zwei drei", "zwei", "drei drei eins zwei"]
EN = ["one two three", "two", "three three one two"]


def preprocessor(records, kind="word", **options):
    fitted = {name: tokenizers.build(name, kind) for name in ParallelText.tokenizers}
    made = ParallelText(**fitted, **options)
    for name, text in made.texts(records).items():
        fitted[name].fit(text)
    return made


def translate(kind="word", **options):
    records = [{"source": a, "target": b.capitalize()} for a, b in zip(DE, EN, strict=True)]
    given = {"splits": Splits(records, records[:2]), "preprocessor": preprocessor(records, kind, **options)}
    return tasks.build("task", {"kind": "translate", "batch_size": 2}, **given)


@pytest.mark.parametrize("kind", ["word", "char", "byte", "bpe"])
def test_a_batch_is_the_sentences_between_line_breaks(kind):
    task = translate(kind)
    tokenizer, source_tokenizer = task.preprocessor.tokenizer, task.preprocessor.source_tokenizer
    said = {}
    for number in range(task.train_batches().epoch):
        batch = task.train_batches()[number]
        assert torch.equal(batch.loss_mask, batch.mask)
        assert torch.equal(batch.inputs[:, 1:][batch.mask[:, 1:]], batch.targets[:, :-1][batch.mask[:, 1:]])
        for row in range(len(batch.inputs)):
            source = source_tokenizer.decode(batch.source[row, batch.source_mask[row]])
            target = tokenizer.decode(batch.targets[row, batch.loss_mask[row]])
            assert source[-1] == target[-1] == "\n" and batch.inputs[row, 0] == task.preprocessor.end
            said[source[:-1]] = target[:-1]
    assert said == dict(zip(DE, EN, strict=True))
    assert task.eval_sets("valid")["teacher_forced"].batches.epoch == 1
    assert task.eval_sets("test") == task.generation_sets("test") == {}
    assert task.inputs == task.targets == Tokens(tokenizer.size)


def test_a_source_is_read_backwards_and_its_end_stays_the_end():
    ahead, behind = translate().preprocessor, translate(reverse_source=True).preprocessor
    for source, target in zip(DE, EN, strict=True):
        record = {"source": source, "target": target}
        forward, reverse = ahead.encode(record), behind.encode(record)
        assert reverse.input.tolist() == [*forward.input.tolist()[-2::-1], ahead.source_end]
        assert torch.equal(forward.target, reverse.target)


def test_a_saved_preprocessor_reads_as_before():
    made = translate(reverse_source=True).preprocessor
    fitted = {"tokenizer": made.tokenizer, "source_tokenizer": made.source_tokenizer}
    again = load_preprocessor(save_preprocessor(made), fitted)
    one, other = (each.encode({"source": "Drei, zwei!"}) for each in (made, again))
    assert again.reverse_source and torch.equal(one.input, other.input) and one.target is None


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("split", [True, False])
def test_preparing_twice_is_preparing_once(lower, split):
    draw = random.Random(1)
    lines = ["".join(draw.choice("aB'’ .,-()İΣß\u00a0\t1é") for _ in range(12)) for _ in range(2000)]  # noqa: RUF001
    once = [prepared(line, lower, split) for line in lines]
    assert [prepared(line, lower, split) for line in once] == once


def test_right_words_are_marked_and_a_tokenizer_without_a_line_break_is_refused():
    task = translate()
    evaluated = task.eval_sets("valid")["teacher_forced"]
    batch = evaluated.batches[0]
    perfect = torch.nn.functional.one_hot(batch.targets, task.targets.size).float()
    for scores, value in ((perfect, 1.0), (perfect.roll(1, -1), 0.0)):
        metric = Accuracy()
        metric.update(scores, batch)
        assert metric.compute() == {"accuracy": value} and metric.number == 6  # 3 + 1 words and two ends
    assert evaluated.derived(0.0) == {"perplexity": 1.0}
    word, printable = tokenizers.build("t", "word").fit("a b"), tokenizers.build("t", "byte")
    with pytest.raises(DataError, match="line break"):
        ParallelText(word, printable).encode({"source": "a", "target": "b"})


def test_what_is_generated_is_measured_in_the_order_of_the_file():
    task = translate()
    generated = task.generation_sets("train")["generated"]
    assert generated.records == task.records["train"]
    right = [Text(line, line.split(), -1.0) for line in EN]
    found, drawn = evaluate_generation(Predicting(*right), generated)
    assert found["", "bleu"] == pytest.approx(100.0) and found[":up_to_8_words", "bleu"] == pytest.approx(100.0)
    assert found["", "sacrebleu"] == pytest.approx(100.0) == found["", "chrf"], "lower case counts as the same"
    assert {group for group, _ in found} == {"", ":up_to_8_words"}, "no source is longer"
    assert ("", "diagonal") not in found and drawn == {}, "there is no attention"
    straight = [Text(t.text, t.tokens, -1.0, attention=torch.eye(len(t.tokens) + 1)) for t in right]
    found, drawn = evaluate_generation(Predicting(*straight), generated)
    assert found["", "diagonal"] == 1.0
    shown = drawn["attention"].panels
    assert [(panel.rows, panel.columns) for panel in shown] == [
        ([*en.split(), "\\n"], [*de.split(), "\\n"]) for de, en in zip(DE, EN, strict=True)
    ]
    assert all(torch.equal(torch.tensor(panel.values), torch.eye(len(panel.rows))) for panel in shown)


def test_a_record_that_failed_counts_as_an_empty_text():
    for metric in (Bleu(lambda record: [["a", "b", "c", "d"]]), LineScores(lambda record: "a b c d", True)):
        metric.update(Text("a b c d", ["a", "b", "c", "d"], -1.0), {})
        whole = metric.compute()
        metric.update(Failure("too long"), {})
        assert all(value < whole[name] for name, value in metric.compute().items())


def sentences(random_, number):
    return [[random_.choice("abcdef.,") for _ in range(random_.randint(0, 15))] for _ in range(number)]


def bleus_by_definition(generated, wanted):
    """Papineni et al. 2002, equations 2 and 3, for n-grams up to one, two, three and four words."""
    right, said, ours, theirs = [0] * 4, [0] * 4, 0, 0
    for words, answers in zip(generated, wanted, strict=True):
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
        with pytest.raises(ConfigError, match="does not attend to it"):
            build_model({"core": core, "encoder": encoder}, Tokens(5), Tokens(5), Tokens(4))
    for core in (
        {"kind": "recurrent", "width": 8, "conditioning": "always", "source_width": 0},
        {"kind": "transformer", "width": 8, "cross_attention": True},
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


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that has learned a little, its folder of files, and its results."""
    folder = tmp_path_factory.mktemp("translate")
    settings = ["encoder.width=32", "core.width=32", "core.input_width=32", "encoder.input_width=32"]
    settings += ["train.epochs=0", "train.steps=150", "train.learning_rate=0.01", "train.threads=1", "model.dropout=0"]
    settings += ["train.precision=float32", "evaluate.times=1", "tokenizer.min_count=1", f"data.path={corpus(folder)}"]
    recipe = load_recipe("translate-attention", [*settings, "task.beam=3", "task.length_penalty=0.6"])
    results = list(Experiment.new(recipe, folder / "run"))[-1].results
    return folder / "run", folder, results


def test_a_run_learns_is_measured_by_what_it_generates_and_says_so(trained, capsys):
    folder, _, results = trained
    assert results["valid/teacher_forced/accuracy"] > 0.9 and results["valid/generated/bleu"] > 80
    assert results["valid/generated/diagonal"] > 0.5 and (folder / "attention.png").stat().st_size > 1000
    assert all(isinstance(value, int | float) for value in results.values())
    again = Run.load(folder).evaluate("valid")
    assert again["valid/generated/bleu"] == pytest.approx(results["valid/generated/bleu"])
    with pytest.raises(SystemExit) as stopped:
        main(["eval", str(folder), "--split", "test", "--json"])
    assert stopped.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["test/generated/bleu"] > 80 and "test/teacher_forced/loss" in printed


def test_sentences_are_translated_one_by_one_as_in_a_batch_and_a_bad_one_is_a_failure_in_its_place(trained):
    folder, files, _ = trained
    run, sources = Run.load(folder), (files / "test.de").read_text().splitlines()
    sources[3:3], sources[20:20] = ["  "], [""]
    together = list(run.predict(sources, batch_size=16))
    assert [n for n, found in enumerate(together) if isinstance(found, Failure)] == [3, 20]
    assert "is empty" in together[3].error and len(together) == len(sources)
    for source, found in zip(sources, together, strict=True):
        if source.strip():
            alone = run.predict(source)
            assert alone.text == found.text and alone.tokens == found.tokens
            assert alone.log_probability == pytest.approx(found.log_probability, abs=1e-4)
            assert [other.text for other in alone.alternatives] == [other.text for other in found.alternatives]
    assert together[0].text.endswith(".") and " ." not in together[0].text and together[0].tokens[-1] == "."
    assert {**next(run.predict([{"source": sources[0], "target": "ignored"}])).as_dict()} == run.predict(
        sources[0]
    ).as_dict()
    with pytest.raises(DataError, match="is empty"):
        run.predict(" ")


def test_the_attention_of_a_text_is_that_of_reading_it(trained):
    folder, files, _ = trained
    run, source = Run.load(folder), (files / "test.de").read_text().splitlines()[0]
    (text,) = run.pipeline(attention=True, beam=1).predict([{"source": source}])
    batch = run.preprocessor.collate([run.preprocessor.encode({"source": source, "target": text.text})])
    (weights,) = cross_attention(run.model, batch)
    torch.testing.assert_close(text.attention, weights.mean(dim=1)[0])
    torch.testing.assert_close(text.attention.sum(dim=1), torch.ones(len(text.tokens) + 1))
    assert source_attention(Engine(run.model), batch).shape[:2] == (1, len(text.tokens) + 1)
    assert run.predict(source).attention is None, "nobody asked"


def test_a_source_that_is_longer_than_the_encoder_reads_is_a_failure(tmp_path):
    narrow = [
        "encoder.width=16",
        "encoder.layers=1",
        "encoder.heads=2",
        "encoder.feed_width=16",
        "encoder.context=6",
        "encoder.positions=learned",
    ]
    narrow += [
        "core.width=16",
        "core.layers=1",
        "core.heads=2",
        "core.feed_width=16",
        "train.steps=2",
        "train.epochs=0",
    ]
    files = corpus(tmp_path)
    for part in ("train", "valid", "test"):
        for language in ("de", "en"):
            lines = (files / f"{part}.{language}").read_text().splitlines()
            (files / f"{part}.{language}").write_text("\n".join(" ".join(line.split()[:4]) for line in lines))
    settings = [*narrow, "train.precision=float32", "train.threads=1", "evaluate.times=1", f"data.path={files}"]
    list(Experiment.new(load_recipe("translate-transformer", settings), tmp_path / "run"))
    good, bad = Run.load(tmp_path / "run").predict(["eins zwei", "eins zwei drei vier eins zwei drei"])
    assert isinstance(good, Text) and isinstance(bad, Failure) and "at most 6" in bad.error

"""`unspool look`: what is told, given as data, drawn and written of a model, on a good day and on bad ones."""

import errno
import json
import math
from io import BytesIO, TextIOWrapper

import pytest
import torch

from helpers.commands import TEXT, TINY, run
from helpers.recipes import quick
from unspool import Batch, Run, SequenceModel, Tokens, build, cores, embedding, head
from unspool.data.preprocessors.language import LanguageText
from unspool.data.probe import Probe
from unspool.data.splits import Splits
from unspool.data.tokenizer import tokenizers
from unspool.errors import CheckpointError, DataError
from unspool.look.history import Losses, Unrolled
from unspool.look.inside import Inspection
from unspool.look.measures import Found
from unspool.look.page import finite, page
from unspool.look.report import VIEWS, chosen, compared, document, drawn, seen, words
from unspool.look.switches import picture as switches
from unspool.look.views import Attention, Embeddings, Gradient, Map, Neuron, Neurons, Rows, Surprise, Units
from unspool.recipe import recipe_names
from unspool.runs.probes import look_beside, probe_of_tokens
from unspool.tasks.task import tasks

LETTERS = "abcdefg"
GOOD = "the cat sat on the mat.\n" * 12


def look_at(core="recurrent", length=60, **options):
    """A small model that reads random letters, and a feature that one unit of it was made to tell."""
    torch.manual_seed(0)
    net = SequenceModel(
        embedding(Tokens(7), 8), cores.build("core", core, width=8, **options), head(Tokens(7), 8)
    ).eval()
    ids = torch.randint(7, (1, length + 1), generator=torch.Generator().manual_seed(1))
    batch = Batch(ids[:, :-1], ids[:, 1:], torch.ones(1, length, dtype=torch.bool))
    names = [[LETTERS[id] for id in ids[0].tolist()]]
    probe = Probe(batch, [names[0][:-1]], [names[0][1:]], [], {"is an a": ids[:, :-1] == 0})
    return Inspection(net, probe, lambda some: [LETTERS[id] for id in some], name="a run")


# Views


def test_surprise_is_the_cross_entropy_of_every_token():
    look = look_at()
    found = look.surprise()
    with torch.no_grad():
        scores, _ = look.model(look.batch.inputs, look.model.start(look.batch.inputs))
    wanted = -scores.log_softmax(dim=-1).gather(-1, look.batch.targets.unsqueeze(-1)).flatten()
    assert found.nats[0] == pytest.approx(wanted.tolist(), abs=1e-5)
    assert (
        found.mean == pytest.approx(float(wanted.mean()))
        and found.count == 60
        and look.loss == pytest.approx(found.mean)
    )
    worst = int(wanted.argmax())
    assert f"at {look.rows.targets[0][worst]!r}" in found.summary()[0]


def test_gates_and_states_are_told_apart():
    look = look_at()
    assert {one.name for one in look.gates()} == {"layer 1 input", "layer 1 forget", "layer 1 output"}
    assert {one.name for one in look.hidden()} == {"layer 1 memory", "layer 1 hidden"}
    forget = next(one for one in look.gates() if one.name.endswith("forget"))
    kept = look.record.values["core.layers.0.0.forget"][0].float()
    assert forget.gate.mean.tolist() == pytest.approx(kept.mean(dim=0).tolist())
    assert forget.half_lives.tolist() == pytest.approx((math.log(0.5) / kept.log().mean(dim=0)).tolist(), rel=1e-3)
    with pytest.raises(DataError, match=r"nothing was kept of core\.gone"):
        look.units("core.gone")


def test_the_search_finds_the_unit_that_reads_a_letter():
    look = look_at(cell="elman")
    cell = look.model.core.layers[0][0]
    with torch.no_grad():  # unit 5 says whether the last letter was an a
        look.model.embedding.weight[:, 0] = torch.tensor([9.0] + [-9.0] * 6)
        cell.input.weight[:, 0] = 0.0
        cell.input.weight[5] = torch.tensor([1.0] + [0.0] * 7)
        cell.recurrent.weight[5] = 0.0
    (best,) = look.neurons().best
    assert (best.feature, best.found.unit, best.found.score, best.statistic) == ("is an a", 5, 1.0, "AUC")
    assert (
        [value > 0 for value in best.values] == [token == "a" for token in best.tokens] == [on == 1 for on in best.on]
    )
    assert "unit 5 tells 'is an a': AUC 1.00" in best.summary()


def test_embeddings_are_those_of_what_was_read():
    look = look_at()
    with torch.no_grad():
        look.model.embedding.weight[2] = 3 * look.model.embedding.weight[4]
    found = look.embeddings()
    assert sorted(found.tokens) == list(LETTERS) and found.neighbours[found.tokens.index("c")][0] == ("e", 1.0)
    counts = [look.rows.tokens[0].count(token) for token in found.tokens]
    assert counts == sorted(counts, reverse=True)


def test_eigenvalues_stand_beside_the_gradient_of_a_simple_net():
    look = look_at(cell="elman")
    with torch.no_grad():
        look.model.core.layers[0][0].recurrent.weight.copy_(torch.diag(torch.linspace(0.1, 0.8, 8)))
    found = look.gradient(lags=20)
    assert len(found.norms["inputs"]) == 21
    assert [round(abs(v), 6) for v in found.eigenvalues["layer 1"]] == [round(0.8 - 0.1 * n, 6) for n in range(8)]
    assert any("largest eigenvalue has size 0.800" in word for word in found.summary())
    assert look_at().gradient(lags=5).eigenvalues == {}


def test_a_state_that_moves_in_a_plane_is_shown_whole():
    look = look_at(cell="elman", length=30)
    cell = look.model.core.layers[0][0]
    with torch.no_grad():  # six of eight units stay where they are
        for weight in (cell.input.weight, cell.recurrent.weight, cell.input.bias):
            weight[2:] = 0.0
    found = look.path(length=20)
    assert sum(found.explained) == pytest.approx(1.0) and len(found.places[0]) == 20
    moved = look.record.values["core.layers.0.0.hidden"][0, :20, :2].float()
    steps = torch.tensor(found.places[0]).diff(dim=0).norm(dim=1)
    torch.testing.assert_close(steps, moved.diff(dim=0).norm(dim=1), atol=1e-3, rtol=1e-3)
    axes = found.plot().axes[0]
    assert [list(point) for point in axes.lines[0].get_xydata()] == found.places[0]
    assert [text.get_text() for text in axes.texts if text.get_text()] == look.rows.tokens[0][:20]


def test_attention_is_told_of_every_head():
    look = look_at("transformer", heads=2, layers=1, length=20)
    (one,) = look.attention().maps
    assert one.weights.shape == (2, 20, 20) and one.down == one.across == look.rows.tokens[0]
    assert len(one.costs) == len(one.habits) == 2
    assert f"{one.costs[1]:+.3f} nats" in one.head(1)[-1]
    assert one.only(1).title(0) == one.title(1) and one.only(1).weights.tolist() == one.weights[1:].tolist()
    assert look_at().attention().maps == []


def test_a_head_that_goes_along_a_source_is_told_so():
    straight = Map("core.a.weights", "across", torch.eye(4).unsqueeze(0), list("abcd"), list("wxyz"), [], [0.5], [1.0])
    assert straight.head(0) == ["goes along the source (r 1.00)", "without it the loss changes by +0.500 nats"]
    assert straight.only(0).head(0) == straight.head(0)


def test_a_model_of_numbers_has_no_surprise_and_says_so():
    look = look_at()
    look.__dict__["record"] = type(look.record)(look.record.values, look.record.times, None)
    with pytest.raises(DataError, match="no tokens"):
        look.surprise()
    lacks = []
    assert seen(look, ["surprise", "attention"], lacks.append) == {}
    assert ["no tokens" in lacks[0], "no part of this model looks" in lacks[1]] == [True, True]
    with pytest.raises(DataError):
        seen(look, ["surprise"])


# Every recipe


@pytest.mark.parametrize("name", [name for name in recipe_names() if not name.startswith("fine-tune")])
def test_every_recipe_can_be_looked_into(name, tmp_path):
    recipe = quick(name, tmp_path)
    task = build.task(recipe, build.dataset(recipe).read())
    model = build.model(recipe, task.inputs, task.targets, task.source)
    probe = task.probe("valid", 2, 24) or task.probe("train", 2, 24)
    look = Inspection(model, probe, task.input_labels, name=name)
    lacks = []
    found = seen(look, chosen("all"), lacks.append)
    assert set(found) | {printed.partition(":")[0] for printed in lacks} == set(VIEWS)
    assert ("gradient" in found) == bool(probe.batch.loss_mask.any())
    data = {which: [view.data() for view in views] for which, views in found.items()}
    json.dumps(finite(data), allow_nan=False)
    assert all(isinstance(word, str) for word in words(found))
    page(document([look], [found], ["summary"]))
    for one in found.get("attention", [Attention([])])[0].maps:
        assert one.weights.shape[1:] == (len(one.down), len(one.across))


# Pictures show their data


def test_a_map_of_units_shows_their_values():
    values = torch.tensor([[[0.0, 1.0], [2.0, -1.0], [0.5, 0.25]]])
    view = Units("core.x", "layer 1 memory", Rows([["a", "$b", "c"]], [["b", "c", "d"]]), values)
    axes = view.plot().axes[0]
    assert axes.images[0].get_array().tolist() == [[0.0, 2.0, 0.5], [1.0, -1.0, 0.25]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "$b", "c"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")) == (
        "token that was read",
        "unit",
        "layer 1 memory",
    )
    assert view.plot(limit=2.5).axes[0].images[0].get_clim() == (-2.5, 2.5)


def test_padding_is_not_drawn():
    values = torch.tensor([[[9.0], [1.0], [2.0]]])
    view = Units("core.x", "x", Rows([["", "b", "c"]], [["", "", ""]]), values)
    assert view.plot().axes[0].images[0].get_array().tolist() == [[1.0, 2.0]]
    assert [text.get_text() for text in view.text(0).axes[0].texts] == ["b", "c"]


def test_coloured_text_has_every_token_and_breaks_its_lines():
    view = Surprise(Rows([["a", "b\\n", "c"]], [["b\\n", "c", "d"]]), [[1.0, None, 3.0]], 2.0, 2)
    axes = view.plot().axes[0]
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [("b\\n", 0), ("c", 1), ("d", 1)]
    assert sum(len(line.get_paths()) for line in axes.collections[1:]) == 2


def test_a_gradient_picture_has_a_curve_a_model_relative_to_lag_zero():
    view = Gradient({"lstm": [2.0, 1.0, 0.5], "gru": [1.0, 0.1, 0.01]}, eigenvalues={"rnn": [0.5 + 0.5j, 0.5 - 0.5j]})
    axes, plane = view.plot().axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[1.0, 0.5, 0.25], [1.0, 0.1, 0.01]]
    assert axes.get_yscale() == "log" and "lag" in axes.get_xlabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["lstm", "gru"]
    assert plane.collections[0].get_offsets().tolist() == [[0.5, 0.5], [0.5, -0.5]]
    assert view.fits()["gru"].rate == pytest.approx(0.1)


def test_an_attention_picture_has_a_map_a_head():
    weights = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]]])
    view = Attention(
        [Map("core.a.weights", "layer 1 attention", weights, ["He", "tossed"], ["He", "tossed"], [], [0.2, -0.1])]
    )
    picture = view.plot()
    assert [axes.images[0].get_array().tolist() for axes in picture.axes] == weights.tolist()
    assert "head 2" in picture.axes[1].get_title() and "-0.100 nats" in picture.axes[1].get_title()
    assert [label.get_text() for label in picture.axes[0].get_yticklabels()] == ["He", "tossed"]
    assert view.summary()[0].startswith("layer 1 attention, head 1")
    assert Attention([]).plot().axes[0].texts[0].get_text() == "no part of this model looks"


def test_names_in_an_embedding_picture_do_not_overlap():
    places = [[0.0, 0.0], [0.001, 0.001], [1.0, 1.0]]
    axes = Embeddings(["the", "a", "cat"], places, [0.5, 0.25], [[], [], []]).plot().axes[0]
    assert axes.collections[0].get_offsets().tolist() == places
    assert [text.get_text() for text in axes.texts] == ["the", "cat"]
    assert "50 % of the variance" in axes.get_xlabel() and "25 %" in axes.get_ylabel()


def test_a_picture_of_neurons_shades_where_the_feature_is_on():
    one = Neuron(
        "odd",
        "core.x",
        "layer 1 memory",
        Found(3, 0.9, 0.6),
        "AUC",
        list("abcd"),
        [0.1, 0.9, 0.2, 0.8],
        [0.0, 1.0, 0.0, 1.0],
    )
    axes = Neurons([one]).plot().axes[0]
    assert list(axes.lines[0].get_ydata()) == one.values
    assert [bar.get_height() for bar in axes.patches] == one.on
    assert axes.get_title(loc="left") == one.summary()
    assert Neurons([one]).summary() == [one.summary()]
    by_chance = Neuron("odd", "core.x", "x", Found(3, 0.6, 0.7), "AUC", ["a"], [0.1], [1.0])
    assert Neurons([by_chance]).summary() == []


def test_losses_of_several_runs_share_a_picture():
    records = {
        name: [{"kind": "step", "step": n, "loss": 3.0 - n} for n in (1, 2)]
        + [
            {"kind": "valid", "step": n, "set": way, "loss": 4.0 - n + bias}
            for n in (1, 2)
            for way in ("carried", "windowed")
        ]
        for name, bias in (("a", 0.0), ("b", 1.0))
    }
    view = Losses(records)
    axes = view.plot().axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[2.0, 1.0], [3.0, 2.0], [2.0, 1.0], [4.0, 3.0]]
    assert view.summary()[1] == "b: best validation loss 3.0000 at step 2"


def test_the_unrolled_net_is_cut_where_the_gradient_is():
    options = {"kind": "language", "batch_size": 2, "length": 3}
    tokenizer = tokenizers.build("tokenizer", "byte")
    task = tasks.build("task", options, splits=Splits("abc" * 30), preprocessor=LanguageText(tokenizer))
    view = Unrolled.of(task.train_batches())
    assert (view.lengths, view.carried, view.rows) == ([3] * 4, [False, True, True, True], 2)
    said = [text.get_text() for text in view.plot().axes[0].texts]
    assert said.count("detach: the state goes on") == 3 and said.count("h") == 12
    anew = Unrolled([3, 5], [False, False], 2)
    assert "begins anew: an empty state" in [text.get_text() for text in anew.plot().axes[0].texts]
    assert "cut every 3 tokens" in view.summary()[0] and "empty state" in anew.summary()[0]


def test_the_five_switches_are_drawn_from_the_real_cell():
    picture = switches()
    names = [axes.get_title() for axes in picture.axes[:5]]
    assert names == ["output off", "output on", "reset", "keep", "write"]
    off = picture.axes[5].images[0].get_array()
    assert [round(float(row[-1])) for row in off] == [1, 1, 0] and [round(float(row[0])) for row in off] == [1, 1, 1]


# What is read


def test_a_text_of_yours_has_its_targets_and_features():
    tokenizer = tokenizers.build("tokenizer", "char").fit(TEXT)
    probe = probe_of_tokens(GOOD, LanguageText(tokenizer), next_tokens=True)
    assert "".join(probe.tokens[0][:4]) == "the␣" and probe.targets[0][:4] == ["h", "e", "␣", "c"]
    assert probe.features["white space"][0][:4].tolist() == [False, False, False, True]
    assert not probe_of_tokens(GOOD, LanguageText(tokenizer), next_tokens=False).batch.loss_mask.any()
    with pytest.raises(DataError, match="too short"):
        probe_of_tokens("th", LanguageText(tokenizer), next_tokens=True)


# The verb


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    (folder / "good.txt").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, core in (("run", []), ("other", ["core.cell=gru", "seed=2"]), ("third", ["core.kind=transformer"])):
            assert (
                run("train", "char-lm" if name != "third" else "shakespeare-transformer", *TINY, *core, "--run", name)
                == 0
            )
    return folder


def test_look_tells_in_words_and_writes_pictures_and_a_page(place, capsys):
    assert run("look", "run", "--length", "150", "--svg") == 0
    printed = capsys.readouterr()
    assert "surprise:" in printed.out and "layer 1 forget:" in printed.out and "gradient of inputs" in printed.out
    folder = place / "run/look"
    assert "look.html" in printed.err
    names = {path.name for path in folder.iterdir()}
    assert {
        "look.html",
        "gradient.png",
        "gradient.svg",
        "surprise.png",
        "gates-layer-1-forget.png",
        "losses.png",
        "unrolled.png",
    } <= names
    assert {path.stem for path in folder.glob("*.png")} == {path.stem for path in folder.glob("*.svg")}
    assert (folder / "look.html").stat().st_size < 5_000_000


def test_two_runs_are_told_on_the_same_text(place, capsys):
    assert run("look", "run", "other", "--text", GOOD, "--what", "surprise,gradient,losses", "--out", "both") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("run: ") and "is better by" in printed and "--- other" in printed
    assert {"gradient.png", "gradient-1.png", "gradient-2.png", "surprise-2.png"} <= {
        path.name for path in (place / "both").iterdir()
    }
    runs = [Run.load("run"), Run.load("other")]
    looks = [runs[0].look(GOOD)]
    looks.append(look_beside(runs[1], runs[0], looks[0]))
    assert looks[0].rows.targets == looks[1].rows.targets
    gap = [a - b for a, b in zip(*(look.surprise().nats[0] for look in looks), strict=True)]
    better = [f"other is better by {max(gap):.1f} nats", f"run is better by {-min(gap):.1f} nats"]
    assert all(word.startswith(wanted) for word, wanted in zip(compared(looks)[1:], better, strict=True))
    assert not list((place / "both").glob("*.svg")), "svg only on request"


def test_look_as_json_is_data(place, capsys):
    assert run("look", "third", "--what", "attention,gradient", "--text", GOOD, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert set(found) == {"attention", "gradient"}
    weights = torch.tensor(found["attention"][0][0]["weights"])
    assert weights.sum(dim=-1).sub(1).abs().max() < 1e-2 and not weights.triu(1).any()


def test_in_python_a_view_is_a_picture(place):
    picture = Run.load("run").look(GOOD).gates()[0].plot()
    assert picture._repr_png_()[:4] == b"\x89PNG"
    assert picture.save(place / "gates.svg").read_text().startswith("<?xml")
    found = seen(Run.load("run").look(GOOD), ["hidden", "neurons"])
    assert "text" in drawn(found)


def test_a_text_may_be_in_a_file_or_piped_in(place, capsys, monkeypatch):
    (place / "story.txt").write_text(GOOD)
    assert run("look", "run", "--file", "story.txt", "--what", "surprise") == 0
    printed = capsys.readouterr().out
    assert f"over {len(GOOD) - 1:,} tokens" in printed
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(GOOD.encode())))
    assert run("look", "run", "--file", "-", "--what", "surprise") == 0
    assert capsys.readouterr().out == printed


def test_two_checkpoints_of_a_run_are_told_apart(place, capsys):
    step = next((place / "run/checkpoints").iterdir())
    assert run("look", "run", step, "--text", GOOD, "--what", "gradient,surprise", "--out", "both") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("run: ") and f"; {step}: " in printed and "is better" not in printed
    assert (place / "both/gradient.png").exists()


def test_runs_of_other_tokens_are_compared_by_the_character(place, capsys):
    assert run("train", "char-lm", *TINY, "tokenizer.kind=byte", "--run", "bytes") == 0
    assert run("train", "char-lm", *TINY, "tokenizer.kind=bpe", "tokenizer.vocabulary=300", "--run", "bpe") == 0
    capsys.readouterr()
    assert run("look", "bytes", "bpe", "--text", GOOD, "--what", "surprise") == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("nats a character")


def test_what_a_run_lacks_is_said_and_no_error_unless_it_is_asked_for(place, capsys):
    (place / "run/metrics.jsonl").unlink()
    assert run("look", "run", "--text", GOOD) == 0
    printed = capsys.readouterr().err
    assert "attention: run: no part of this model looks" in printed and "losses: " in printed
    assert run("look", "run", "--text", GOOD, "--what", "losses") == 2
    assert run("look", "run", "--text", GOOD, "--what", "attention") == 2


def test_words_have_the_features_of_the_text_that_they_make():
    tokenizer = tokenizers.build("tokenizer", {"kind": "word", "punctuation": True}).fit(
        'a bird said " hi " twice\n' * 20
    )
    text = 'a bird said " hi " twice\n' * 12
    ids = torch.from_numpy(tokenizer.encode(text)).long()
    task = tasks.build("task", "language", splits=Splits(text), preprocessor=LanguageText(tokenizer))
    there = torch.ones(1, len(ids) - 1, dtype=torch.bool)
    wanted = task.probe_of(Batch(ids[None, :-1], ids[None, 1:], there)).features
    found = probe_of_tokens(text, LanguageText(tokenizer), next_tokens=True).features
    assert list(found) == list(wanted) and all(torch.equal(found[name], wanted[name]) for name in found)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--what", "soul"], "there is nothing called 'soul' to look at"),
        (["--text", GOOD, "--file", "good.txt"], "both --text and --file"),
        (["--text", "ΩΩΩΩ"], "does not know"),
        (["--text", "t"], "too short"),
        (["--text", ""], "too short"),
        (["--text", GOOD, "--target-text", "yes"], "answers no source"),
        (["--file", "nowhere.txt"], "nowhere.txt"),
        (["--split", "test"], "has no test split"),
        (["--split", "tset"], "--split should be"),
        (["--text", GOOD, "--out", "good.txt"], "cannot write good.txt"),
        (["nowhere"], "nowhere"),
        (["--length", "1"], "--length"),
    ],
)
def test_bad_input_is_one_sentence(arguments, error, place, capsys):
    assert run("look", "run", *arguments) == 2
    printed = capsys.readouterr()
    assert error in printed.err and "hint: " in printed.err and printed.out == "" and "Traceback" not in printed.err


def test_runs_of_different_things_are_not_compared(place, capsys):
    assert run("train", "parity", "core.width=4", "train.steps=2", "evaluate.times=1", "--run", "parity") == 0
    assert run("look", "run", "parity") == 2
    assert "read different things" in capsys.readouterr().err
    assert run("look", "parity", "--text", "1 0 1") == 2
    assert "reads no text" in capsys.readouterr().err
    assert run("look", "parity", "--what", "neurons,gates") == 0


def test_a_text_for_a_classifier_has_no_surprise_but_states(place, capsys):
    lines = "".join(f"{word} {n}\t{label}\n" for n in range(40) for word, label in (("good", "pos"), ("bad", "neg")))
    (place / "reviews.tsv").write_text("text\tlabel\n" + lines)
    small = [
        "data.path=reviews.tsv",
        "core.width=8",
        "train.steps=2",
        "train.threads=1",
        "evaluate.times=1",
        "--run",
        "c",
    ]
    assert run("train", "names", *small) == 0
    assert run("look", "c", "--text", "good bad good bad 1 2 3") == 0
    printed = capsys.readouterr()
    assert "surprise: nothing is asked for" in printed.err and "layer 1" in printed.out


def test_a_half_last_line_of_a_killed_run_is_left_out(place, capsys):
    file = place / "run/metrics.jsonl"
    file.write_text(file.read_text() + '{"kind": "step", "st')
    assert run("look", "run", "--text", GOOD, "--what", "losses") == 0


def test_a_model_that_diverged_is_refused(place, capsys):
    loaded = Run.load("run")
    with torch.no_grad():
        loaded.model.head.bias[0] = torch.nan
    with pytest.raises(CheckpointError, match="has diverged"):
        loaded.look(GOOD)


def test_dollars_and_letters_that_no_font_has_are_drawn(tmp_path):
    look = look_at()
    look.name = "runs/$a_{b$"
    tokens = [["$", "x", "_", "{", "$", "😀"] * 10]
    look.rows = Rows(tokens, tokens)
    for view in (look.path(), look.surprise(), Losses({look.name: [{"kind": "step", "step": 1, "loss": 1.0}]})):
        assert view.plot().save(tmp_path / "a.png").stat().st_size > 1000
    assert Gradient({"$a_{b$": [1.0, 0.5], "$": [1.0, 0.2]}).plot()._repr_png_()


def test_words_are_set_apart_and_gaps_told():
    rows = Rows([["the", "cat\\n", "sat"]], [["cat\\n", "sat", "down"]])
    axes = Surprise(rows, [[1.0, 2.0, 3.0]], 2.0, 3).plot().axes[0]
    assert [text.get_text() for text in axes.texts] == ["cat\\n ", "sat ", "down "]
    assert "'down' after 'the cat\\n sat'" in Surprise(rows, [[1.0, 2.0, 3.0]], 2.0, 3).summary()[0]


def test_nothing_is_told_before_all_is_written_and_old_pictures_go(place, capsys, monkeypatch):
    assert run("look", "run", "--text", GOOD, "--what", "gradient,gates") == 0
    (place / "run/look/notes.png").write_text("mine")
    assert run("look", "run", "--text", GOOD, "--what", "surprise") == 0
    assert {path.name for path in (place / "run/look").iterdir()} == {
        "look.html",
        "surprise.png",
        "notes.png",
    }
    capsys.readouterr()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("unspool.files.write_through", full)
    assert run("look", "run", "--text", GOOD, "--what", "surprise") == 2
    printed = capsys.readouterr()
    assert (
        printed.out == ""
        and "no space left" in printed.err
        and "--out DIR" in printed.err
        and "resume" not in printed.err
    )


def test_an_empty_file_is_no_reason_to_read_something_else(place, capsys):
    (place / "empty.txt").write_text("")
    assert run("look", "run", "--file", "empty.txt") == 2
    assert "too short" in capsys.readouterr().err
    (place / "latin.txt").write_bytes(b"the cat sat on the mat. caf\xe9 " * 20)
    run("look", "run", "--file", "latin.txt")
    assert "Windows-1252" in capsys.readouterr().err

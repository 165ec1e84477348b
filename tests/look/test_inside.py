"""`unspool look`: the views of a model as sentences, data, pictures and files."""

import errno
import json
import math
import sys
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
from unspool.look.document import document
from unspool.look.encoding import finite
from unspool.look.findings import compare_losses, lines, main_findings, topics
from unspool.look.inspection import Inspection
from unspool.look.page import page
from unspool.look.report import collect, pictures_of
from unspool.look.search import BestUnit
from unspool.look.switches import picture as switches
from unspool.look.tokens import TokenRows
from unspool.look.units import Units
from unspool.look.view import view_names, views
from unspool.look.views.attention import Attention, Layer
from unspool.look.views.embeddings import Embeddings
from unspool.look.views.gradient import Gradient
from unspool.look.views.losses import Losses
from unspool.look.views.neurons import Neuron, Neurons
from unspool.look.views.surprisal import Surprisal
from unspool.look.views.unrolling import Unrolling
from unspool.plugins import module_of
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


def test_surprisal_is_the_cross_entropy_of_every_token():
    look = look_at()
    found = look.view("surprisal")
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
    assert {one.name for one in look.view("gates").maps} == {"layer 1 input", "layer 1 forget", "layer 1 output"}
    assert {one.name for one in look.view("hidden").maps} == {"layer 1 memory", "layer 1 hidden"}
    forget = next(one for one in look.view("gates").maps if one.name.endswith("forget"))
    kept = look.record.values["core.layers.0.0.forget"][0].float()
    assert forget.gate.mean.tolist() == pytest.approx(kept.mean(dim=0).tolist())
    assert forget.half_lives.tolist() == pytest.approx((math.log(0.5) / kept.log().mean(dim=0)).tolist(), rel=1e-3)
    with pytest.raises(DataError, match=r"nothing was recorded at core\.gone"):
        look.units("core.gone")


def test_the_search_finds_the_unit_that_reads_a_letter():
    look = look_at(cell="elman")
    cell = look.model.core.layers[0][0]
    with torch.no_grad():  # unit 5 says whether the last letter was an a
        look.model.embedding.weight[:, 0] = torch.tensor([9.0] + [-9.0] * 6)
        cell.input.weight[:, 0] = 0.0
        cell.input.weight[5] = torch.tensor([1.0] + [0.0] * 7)
        cell.recurrent.weight[5] = 0.0
    (best,) = look.view("neurons").best
    assert (best.feature, best.best.unit, best.best.score, best.statistic) == ("is an a", 5, 1.0, "AUC")
    assert (
        [value > 0 for value in best.values] == [token == "a" for token in best.tokens] == [on == 1 for on in best.on]
    )
    assert "unit 5 predicts 'is an a': AUC 1.00" in best.summary()


def test_embeddings_are_those_of_what_was_read():
    look = look_at()
    with torch.no_grad():
        look.model.embedding.weight[2] = 3 * look.model.embedding.weight[4]
    found = look.view("embeddings")
    assert sorted(found.tokens) == list(LETTERS) and found.neighbours[found.tokens.index("c")][0] == ("e", 1.0)
    counts = [look.rows.tokens[0].count(token) for token in found.tokens]
    assert counts == sorted(counts, reverse=True)


def test_eigenvalues_stand_beside_the_gradient_of_a_simple_net():
    look = look_at(cell="elman")
    with torch.no_grad():
        look.model.core.layers[0][0].recurrent.weight.copy_(torch.diag(torch.linspace(0.1, 0.8, 8)))
    found = look.view("gradient", lags=20)
    assert len(found.norms["inputs"]) == 21
    assert [round(abs(v), 6) for v in found.eigenvalues["layer 1"]] == [round(0.8 - 0.1 * n, 6) for n in range(8)]
    assert any("largest eigenvalue |λ| = 0.800" in word for word in found.summary())
    assert look_at().view("gradient", lags=5).eigenvalues == {}


def test_a_state_that_moves_in_a_plane_is_shown_whole():
    look = look_at(cell="elman", length=30)
    cell = look.model.core.layers[0][0]
    with torch.no_grad():  # six of eight units stay where they are
        for weight in (cell.input.weight, cell.recurrent.weight, cell.input.bias):
            weight[2:] = 0.0
    found = look.view("trajectory", length=20)
    assert sum(found.explained) == pytest.approx(1.0) and len(found.coordinates[0]) == 20
    moved = look.record.values["core.layers.0.0.hidden"][0, :20, :2].float()
    steps = torch.tensor(found.coordinates[0]).diff(dim=0).norm(dim=1)
    torch.testing.assert_close(steps, moved.diff(dim=0).norm(dim=1), atol=1e-3, rtol=1e-3)
    axes = found.plot().axes[0]
    assert [list(point) for point in axes.lines[0].get_xydata()] == found.coordinates[0]
    (labels,) = labels_of(axes)
    assert labels.texts == look.rows.tokens[0][:20] and [list(place) for place in labels.places] == found.coordinates[0]


def test_attention_is_told_of_every_head():
    look = look_at("transformer", heads=2, layers=1, length=20)
    found = look.view("attention")
    (one,) = found.layers
    assert one.weights.shape == (2, 20, 20) and one.rows == one.columns == look.rows.tokens[0]
    assert len(one.costs) == len(one.patterns) == 2
    assert f"{one.costs[1]:+.3f} nats" in one.notes(1)[-1] and one.notes(1, cost=False) == one.notes(1)[:-1]
    assert found.summary()[0].startswith(one.title(one.costs.index(max(one.costs))))
    with pytest.raises(DataError, match="has no attention"):
        look_at().view("attention")


def test_a_head_that_goes_along_a_source_is_told_so():
    straight = Layer(
        "core.a.weights", "across", torch.eye(4).unsqueeze(0), list("abcd"), list("wxyz"), [], [0.5], [1.0]
    )
    assert straight.notes(0) == [
        "follows the source monotonically (r 1.00)",
        "without it the loss changes by +0.500 nats",
    ]


def test_a_model_of_numbers_has_no_surprisal_and_says_so():
    look = look_at()
    look.__dict__["record"] = type(look.record)(look.record.values, look.record.times, None)
    with pytest.raises(DataError, match="predicts tokens"):
        look.view("surprisal")
    missing = []
    assert collect(look, ["surprisal", "attention"], missing.append) == {}
    assert ["predicts tokens" in missing[0], "has no attention" in missing[1]] == [True, True]
    with pytest.raises(DataError):
        collect(look, ["surprisal"])


def test_the_three_main_findings_come_first_and_the_others_by_topic():
    found = collect(look_at(), ["gates", "gradient", "surprisal", "hidden"])
    main, rest = main_findings(found), topics(found)
    assert [sentence.split(":")[0] for sentence in main] == ["layer 1 forget", "gradient of inputs", "surprisal"]
    assert "half-life" in main[0] and list(rest) == ["Gates and memory", "Hidden states"]
    assert not set(main) & {sentence for some in rest.values() for sentence in some}
    assert list(lines(found))[:6] == [*main, "", "Gates and memory", f"  {rest['Gates and memory'][0]}"]


# Every recipe


@pytest.mark.parametrize("name", [name for name in recipe_names() if not name.startswith("fine-tune")])
def test_every_recipe_can_be_looked_into(name, tmp_path):
    recipe = quick(name, tmp_path)
    task = build.task(recipe, build.dataset(recipe).read())
    model = build.model(recipe, task.inputs, task.targets, task.source)
    probe = task.probe("valid", 2, 24) or task.probe("train", 2, 24)
    look = Inspection(model, probe, task.input_labels, name=name)
    missing = []
    found = collect(look, view_names("all"), missing.append)
    assert set(found) | {printed.partition(":")[0] for printed in missing} == set(view_names("all"))
    assert ("gradient" in found) == bool(probe.batch.loss_mask.any())
    data = {which: view.data() for which, view in found.items()}
    json.dumps(finite(data), allow_nan=False)
    assert all(isinstance(sentence, str) for sentence in lines(found))
    page(document([look], [found], ["summary"]))
    for one in found["attention"].layers if "attention" in found else ():
        assert one.weights.shape[1:] == (len(one.rows), len(one.columns))


# Pictures show their data


def labels_of(axes):
    """The artists of `unspool.look.canvas.labels` in a panel."""
    return [artist for artist in axes.artists if hasattr(artist, "texts")]


def test_a_map_of_units_shows_their_values():
    values = torch.tensor([[[0.0, 1.0], [2.0, -1.0], [0.5, 0.25]]])
    view = Units("core.x", "layer 1 memory", TokenRows([["a", "$b", "c"]], [["b", "c", "d"]]), values)
    axes = view.plot().axes[0]
    shown = dict(
        zip(
            [int(label.get_text()) for label in axes.get_yticklabels()],
            axes.images[0].get_array().tolist(),
            strict=False,
        )
    )
    assert shown == {0: [0.0, 2.0, 0.5], 1: [1.0, -1.0, 0.25]}
    assert labels_of(axes)[0].texts == ["a", "$b", "c"]
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("token that was read", "layer 1 memory")
    assert axes.get_ylabel() == "2 of 2 units: similar units side by side"
    assert view.plot(limit=2.5).axes[0].images[0].get_clim() == (-2.5, 2.5)


def test_gates_are_drawn_by_the_half_life_of_their_memory():
    look = look_at()
    forget, output = (look.units(f"core.layers.0.0.{name}") for name in ("forget", "output"))
    order = forget.half_lives.argsort(descending=True).tolist()
    for one in (forget, output):
        axes = one.plot().axes[0]
        assert [label.get_text().split()[0] for label in axes.get_yticklabels()] == [str(unit) for unit in order]
        assert axes.get_ylabel() == "8 of 8 units: longest half-life first (tokens)"
        assert axes.images[0].get_array()[0].tolist() == pytest.approx(one.values[0, :60, order[0]].tolist())
    assert f"{float(forget.half_lives[order[0]]):.3g}" in axes.get_yticklabels()[0].get_text()
    assert output.half_lives is None and forget.trace()["units"] == order


def test_padding_is_not_drawn():
    values = torch.tensor([[[9.0], [1.0], [2.0]]])
    view = Units("core.x", "x", TokenRows([["", "b", "c"]], [["", "", ""]]), values)
    assert view.plot().axes[0].images[0].get_array().tolist() == [[1.0, 2.0]]
    assert labels_of(view.text(0).axes[0])[0].texts == ["b", "c"]


def test_coloured_text_has_every_token_and_breaks_its_lines():
    view = Surprisal(TokenRows([["a", "b\\n", "c"]], [["b\\n", "c", "d"]]), [[1.0, None, 3.0]], 2.0, 2)
    axes = view.plot().axes[0]
    (labels,) = labels_of(axes)
    assert list(zip(labels.texts, [y for _, y in labels.places], strict=False)) == [("b\\n", 0), ("c", 1), ("d", 1)]
    assert len(axes.collections[0].get_paths()) == 2


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
    tokens = ["He", "tossed"]
    view = Attention([Layer("core.a.weights", "layer 1 attention", weights, tokens, tokens, [], [0.2, -0.1])])
    picture = view.plot()
    assert [axes.images[0].get_array().tolist() for axes in picture.axes] == weights.tolist()
    assert "head 2" in picture.axes[1].get_title() and "-0.100 nats" in picture.axes[1].get_title()
    assert [labels.texts for labels in labels_of(picture.axes[0])] == [tokens, tokens]
    assert view.summary()[0].startswith("layer 1 attention, head 1")


def test_names_in_an_embedding_picture_do_not_overlap():
    places = [[0.0, 0.0], [0.001, 0.001], [1.0, 1.0]]
    picture = Embeddings(["the", "a", "cat"], places, [0.5, 0.25], [[], [], []]).plot()
    picture._repr_png_()
    axes = picture.axes[0]
    assert axes.collections[0].get_offsets().tolist() == places
    assert labels_of(axes)[0].shown == ["the", "cat"]
    assert "50 % of the variance" in axes.get_xlabel() and "25 %" in axes.get_ylabel()


def test_a_picture_of_neurons_shades_where_the_feature_is_on():
    on = [0.0, 1.0, 0.0, 1.0]
    one = Neuron(
        "odd", "core.x", "layer 1 memory", BestUnit(3, 0.9, 0.6), "AUC", list("abcd"), [0.1, 0.9, 0.2, 0.8], on
    )
    axes = Neurons([one]).plot().axes[0]
    assert list(axes.lines[0].get_ydata()) == one.values
    assert [path.vertices[:, 1].max() for path in axes.collections[0].get_paths()] == on
    assert axes.get_title(loc="left") == one.summary()
    assert Neurons([one]).summary() == [one.summary()]
    by_chance = Neuron("odd", "core.x", "x", BestUnit(3, 0.6, 0.7), "AUC", ["a"], [0.1], [1.0])
    assert Neurons([by_chance]).summary() == []


def test_a_picture_has_room_for_the_labels_of_its_panels():
    one = Neuron(
        "odd", "x", "x", BestUnit(3, 0.9, 0.6), "AUC", ["abcdefgh"] * 4, [0.1, 0.9, 0.2, 0.8], [0.0, 1.0, 0.0, 1.0]
    )
    picture = Neurons([one, one]).plot()
    picture.lay_out()
    renderer = picture.figure._get_renderer()
    upper, lower = picture.axes
    assert labels_of(upper)[0].get_tightbbox(renderer).y0 >= lower.get_tightbbox(renderer).y1


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
    view = Unrolling.of_batches(task.train_batches())
    assert (view.lengths, view.carried, view.rows) == ([3] * 4, [False, True, True, True], 2)
    notes = [text.get_text() for text in view.plot().axes[0].texts]
    assert notes.count("detach: state carried on") == 3 and notes.count("h") == 12
    anew = Unrolling([3, 5], [False, False], 2)
    assert "empty state" in [text.get_text() for text in anew.plot().axes[0].texts]
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
    assert "surprisal:" in printed.out and "layer 1 forget:" in printed.out and "gradient of inputs" in printed.out
    folder = place / "run/look"
    assert "look.html" in printed.err
    names = {path.name for path in folder.iterdir()}
    assert {
        "look.html",
        "gradient.png",
        "gradient.svg",
        "surprisal.png",
        "gates-layer-1-forget.png",
        "losses.png",
        "unrolling.png",
    } <= names
    assert {path.stem for path in folder.glob("*.png")} == {path.stem for path in folder.glob("*.svg")}
    assert (folder / "look.html").stat().st_size < 5_000_000


def test_two_runs_are_told_on_the_same_text(place, capsys):
    assert run("look", "run", "other", "--text", GOOD, "--what", "surprisal,gradient,losses", "--out", "both") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("run: ") and "is better by" in printed and "--- other" in printed
    assert {"gradient.png", "gradient-1.png", "gradient-2.png", "surprisal-2.png"} <= {
        path.name for path in (place / "both").iterdir()
    }
    runs = [Run.load("run"), Run.load("other")]
    looks = [runs[0].look(GOOD)]
    looks.append(look_beside(runs[1], runs[0], looks[0]))
    assert looks[0].rows.targets == looks[1].rows.targets
    gap = [a - b for a, b in zip(*(look.view("surprisal").nats[0] for look in looks), strict=True)]
    better = [f"other is better by {max(gap):.1f} nats", f"run is better by {-min(gap):.1f} nats"]
    assert all(word.startswith(wanted) for word, wanted in zip(compare_losses(looks)[1:], better, strict=True))
    assert not list((place / "both").glob("*.svg")), "svg only on request"


def test_two_runs_have_a_folder_of_their_own(place, capsys):
    assert run("look", "run", "--text", GOOD, "--what", "gradient") == 0
    before = {path.name: path.read_bytes() for path in (place / "run/look").iterdir()}
    assert run("look", "run", "other", "--text", GOOD, "--what", "surprisal") == 0
    assert {path.name: path.read_bytes() for path in (place / "run/look").iterdir()} == before
    names = {path.name for path in (place / "run/look-other").iterdir()}
    assert names == {"look.html", "surprisal-1.png", "surprisal-2.png"}


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

from unspool.look.canvas import Picture
from unspool.look.panels import Curve, Heatmap, Lines, Table
from unspool.look.view import View, register_view


@register_view("my_view")
@dataclass(frozen=True)
class Norms(View):
    title: ClassVar[str] = "Norm of the memory"
    norms: list

    @classmethod
    def of(cls, look):
        return cls(look.units("core.layers.0.0.memory").values[0].float().norm(dim=-1).tolist())

    def summary(self):
        return [f"memory: largest norm {max(self.norms):.2f}"]

    def data(self):
        return {"norms": self.norms}

    def plot(self):
        picture = Picture(4.0, 3.0)
        picture.axes[0].plot(self.norms)
        return picture

    def panels(self):
        position = range(len(self.norms))
        return [
            Lines([Curve("norm", position, self.norms)], "position", "norm"),
            Heatmap([self.norms], ["norm"], [str(at) for at in position], "row", "position"),
            Table(["largest", "norm"], [["memory", f"{max(self.norms):.2f}"]], numbers=1),
        ]
"""


@pytest.fixture
def plugin(place, monkeypatch):
    """A file with a view of one's own, off the shelf afterwards."""
    monkeypatch.setattr(views, "_known", dict(views._known))
    (place / "my_view.py").write_text(PLUGIN)
    yield "my_view.py"
    sys.modules.pop(module_of("my_view.py"), None)


def test_a_plug_in_brings_a_view(place, plugin, capsys):
    options = ["--text", GOOD, "--plugin", plugin, "--what", "my_view", "--out", "mine"]
    assert run("look", "run", *options) == 0
    assert capsys.readouterr().out.startswith("memory: largest norm ")
    assert {path.name for path in (place / "mine").iterdir()} == {"look.html", "my_view.png"}
    assert run("look", "run", *options, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    wanted = Run.load("run").look(GOOD).units("core.layers.0.0.memory").values[0].float().norm(dim=-1)
    assert found == {"my_view": {"norms": pytest.approx(wanted.tolist())}}
    html = (place / "mine/look.html").read_text()
    data = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
    sections = data["runs"][0]["sections"]
    assert [(one["id"], one["title"], one["renderer"]) for one in sections] == [
        ("my_view", "Norm of the memory", kind) for kind in ("lines", "heatmap", "table")
    ]
    assert sections[0]["curves"][0]["y"] == found["my_view"]["norms"]


def test_help_names_every_view(capsys):
    assert run("look", "--help") == 0
    shown = capsys.readouterr().out.replace("\n", " ")
    ours = [name for name in views.kinds() if views.find(name).__module__.startswith("unspool.")]
    assert len(ours) > 10 and [name for name in ours if name not in shown] == []


def test_look_as_json_is_data(place, capsys):
    assert run("look", "third", "--what", "attention,gradient", "--text", GOOD, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert set(found) == {"attention", "gradient"}
    weights = torch.tensor(found["attention"][0]["weights"])
    assert weights.sum(dim=-1).sub(1).abs().max() < 1e-2 and not weights.triu(1).any()


def test_in_python_a_view_is_a_picture(place):
    picture = Run.load("run").look(GOOD).view("gates").plot()
    assert picture._repr_png_()[:4] == b"\x89PNG"
    assert picture.save(place / "gates.svg").read_text().startswith("<?xml")
    found = collect(Run.load("run").look(GOOD), ["hidden", "neurons"])
    assert "neurons-text" in pictures_of(found)


def test_a_text_may_be_in_a_file_or_piped_in(place, capsys, monkeypatch):
    (place / "story.txt").write_text(GOOD)
    assert run("look", "run", "--file", "story.txt", "--what", "surprisal") == 0
    printed = capsys.readouterr().out
    assert f"over {len(GOOD) - 1:,} tokens" in printed
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(GOOD.encode())))
    assert run("look", "run", "--file", "-", "--what", "surprisal") == 0
    assert capsys.readouterr().out == printed


def test_two_checkpoints_of_a_run_are_told_apart(place, capsys):
    step = next((place / "run/checkpoints").iterdir())
    assert run("look", "run", step, "--text", GOOD, "--what", "gradient,surprisal", "--out", "both") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("run: ") and f"; {step}: " in printed and "is better" not in printed
    assert (place / "both/gradient.png").exists()


def test_runs_of_other_tokens_are_compared_by_the_character(place, capsys):
    assert run("train", "char-lm", *TINY, "tokenizer.kind=byte", "--run", "bytes") == 0
    assert run("train", "char-lm", *TINY, "tokenizer.kind=bpe", "tokenizer.vocabulary=300", "--run", "bpe") == 0
    capsys.readouterr()
    assert run("look", "bytes", "bpe", "--text", GOOD, "--what", "surprisal") == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("nats a character")


def test_what_a_run_lacks_is_said_and_no_error_unless_it_is_asked_for(place, capsys):
    (place / "run/metrics.jsonl").unlink()
    assert run("look", "run", "--text", GOOD) == 0
    printed = capsys.readouterr().err
    (line,) = (line for line in printed.splitlines() if line.startswith("left out: "))
    assert "attention" in line and "losses" in line and "gradient" not in line
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
        (["--what", "soul"], "unknown view 'soul'"),
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


def test_a_text_for_a_classifier_has_no_surprisal_but_states(place, capsys):
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
    assert "left out: " in printed.err and "surprisal" in printed.err and "layer 1" in printed.out


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
    look.rows = TokenRows(tokens, tokens)
    for view in (
        look.view("trajectory"),
        look.view("surprisal"),
        Losses({look.name: [{"kind": "step", "step": 1, "loss": 1.0}]}),
    ):
        assert view.plot().save(tmp_path / "a.png").stat().st_size > 1000
    assert Gradient({"$a_{b$": [1.0, 0.5], "$": [1.0, 0.2]}).plot()._repr_png_()


def test_words_are_set_apart_and_gaps_told():
    rows = TokenRows([["the", "cat\\n", "sat"]], [["cat\\n", "sat", "down"]])
    axes = Surprisal(rows, [[1.0, 2.0, 3.0]], 2.0, 3).plot().axes[0]
    assert labels_of(axes)[0].texts == ["cat\\n ", "sat ", "down "]
    assert "'down' after 'the cat\\n sat'" in Surprisal(rows, [[1.0, 2.0, 3.0]], 2.0, 3).summary()[0]


def test_nothing_is_told_before_all_is_written_and_old_pictures_go(place, capsys, monkeypatch):
    assert run("look", "run", "--text", GOOD, "--what", "gradient,gates") == 0
    (place / "run/look/notes.png").write_text("mine")
    assert run("look", "run", "--text", GOOD, "--what", "surprisal") == 0
    assert {path.name for path in (place / "run/look").iterdir()} == {
        "look.html",
        "surprisal.png",
        "notes.png",
    }
    capsys.readouterr()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("unspool.files.write_through", full)
    assert run("look", "run", "--text", GOOD, "--what", "surprisal") == 2
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

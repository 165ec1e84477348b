"""look.html: what is embedded can be read back and cannot break out, and a browser shows it without a network."""

import copy
import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import unspool.look
from helpers.looked import document, run, section
from helpers.recipes import quick
from unspool import build
from unspool.errors import DataError
from unspool.look.document import document as report_of
from unspool.look.encoding import encoded
from unspool.look.inspection import Inspection
from unspool.look.page import page
from unspool.look.panels import Curve, Heatmap, Lines, Table
from unspool.look.report import collect
from unspool.look.view import view_names

SOURCES = sorted(p for p in Path(unspool.look.__path__[0]).iterdir() if p.suffix in (".html", ".js"))
NASTY = ["</script>", "<!--", "<script>", "]]>", "\u2028", '"', "\\", "\ud800", "&lt;", "é", "// page.js", "THE DATA"]


class Scripts(HTMLParser):
    """The contents of all scripts of a page, as a parser of HTML sees them."""

    def __init__(self, text):
        super().__init__()
        self.found, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        self.found += [""] * self.inside

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "script"

    def handle_data(self, data):
        if self.inside:
            self.found[-1] += data


def test_the_document_can_be_read_back():
    data = document(run(lengths=(30, 7)))
    embedded, *code = Scripts(page(data)).found
    assert json.loads(embedded) == data
    assert [script.strip() for script in code] == [p.read_text().strip() for p in SOURCES if p.suffix == ".js"]


def test_no_token_breaks_out_of_its_script():
    data = document(run(name="<b>&amp;</script><script>alert(1)</script>"))
    data["runs"][0]["rows"][0]["tokens"][: len(NASTY)] = NASTY
    scripts = Scripts(page(data)).found
    assert len(scripts) == 4 and json.loads(scripts[0]) == data


def test_what_is_no_number_is_null():
    data = {"title": "", "runs": [], "loss": float("nan"), "norms": [1.0, float("inf"), (-float("inf"), 2)]}
    assert json.loads(Scripts(page(data)).found[0])["norms"] == [1.0, None, [None, 2]]
    assert json.loads(Scripts(page(data)).found[0])["loss"] is None


def test_bytes_are_within_half_a_step():
    values = torch.rand(7, 11) * 3 - 1
    read = torch.frombuffer(bytearray(b64decode(encoded(values, -1.0, 2.0))), dtype=torch.uint8)
    torch.testing.assert_close(read.reshape(7, 11) / 255 * 3 - 1, values, atol=3 / 510 + 1e-6, rtol=0)
    assert encoded(torch.tensor([-torch.inf, torch.inf]), -1.0, 2.0) == "AP8="
    assert encoded(torch.zeros(2, dtype=torch.bfloat16), 0.0, 0.0) == "AAA="
    with pytest.raises(DataError, match="NaN"):
        encoded(torch.tensor([torch.nan]), 0.0, 1.0)


def test_the_page_names_no_network_and_is_small():
    bare = page({"title": "", "runs": []})
    assert set(re.findall(r"https?://[^\"'\s]*", bare)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|\burl\(|\bfetch\(|XMLHttpRequest|<link[^>]*href=\"(?!data:)|\bsrc=", bare)
    assert "default-src 'none'" in bare
    assert len(bare) < 50_000
    assert len(page(document(run(lengths=(1500,), units=128, heads=4)))) < 1_000_000


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_its_sources_fit_in_a_sitting(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 400 and max(map(len, lines)) <= 120


@pytest.fixture
def opened(chromium, tmp_path):
    """Opens a document from disk without a network; at the end nobody may have complained or asked for more."""
    problems, contexts = [], []

    def open_document(data, width=1280, **options):
        path = tmp_path / "look.html"
        path.write_text(page(data), encoding="utf-8")
        context = chromium.new_context(viewport={"width": width, "height": 800}, offline=True, **options)
        contexts.append(context)
        shown = context.new_page()
        shown.set_default_timeout(10_000)
        shown.on("console", lambda message: problems.append(message.text))
        shown.on("pageerror", lambda error: problems.append(str(error)))
        shown.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or problems.append(asked.url))
        shown.goto(path.as_uri())
        return shown

    yield open_document
    for context in contexts:
        context.close()
    assert problems == []


def hover(shown, locator, x=None, y=None):
    locator.scroll_into_view_if_needed()
    shown.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )  # scrolling hides tips
    locator.hover(position=None if x is None else {"x": x, "y": y})


def colours(shown, nth=0):
    spans = shown.locator(".text").nth(nth).locator("span")
    return spans.evaluate_all("spans => spans.map(span => getComputedStyle(span).backgroundColor)")


def tip(shown):
    return shown.locator("#tip:not([hidden])").inner_text()


def picture(shown, section):
    return shown.locator(f"#{section} canvas").first.evaluate("canvas => canvas.toDataURL()")


def small():
    """One row of four letters and two units of which every value is known."""
    one = run(lengths=(4,), units=2)
    values = torch.tensor([[-2.5, 0.0, 1.25, 2.5], [2.5, 2.5, -2.5, -2.5]])
    one["traces"][0] |= {"units": [7, 3], "rows": [encoded(values, -2.5, 2.5)]}
    one["rows"][0]["surprisal"] = [None, 0.25, 1.5, 3.0]
    section(one, "neurons")["units"] = [["core.layers.0.0.memory", 3]]
    one["findings"] = ["layer 1 memory, unit 3 is on inside quotes", "layer 1 memory, unit 99 is not shown"]
    return document(one)


FIRST = ["rgb(0, 114, 178)", "rgb(255, 255, 254)", "rgb(243, 207, 128)", "rgb(230, 159, 0)"]
SECOND = [FIRST[3], FIRST[3], FIRST[0], FIRST[0]]


def test_a_unit_has_colours_of_its_own_scale(opened):
    data = small()
    one = data["runs"][0]["traces"][0]
    shares = torch.tensor([[-1.0, 0.0, 0.5, 1.0], [1.0, 1.0, -1.0, -1.0]])
    one |= {"low": -1.0, "high": 1.0, "scales": [200.0, 0.5], "rows": [encoded(shares, -1.0, 1.0)]}
    shown = opened(data)
    assert colours(shown) == FIRST and "200" in shown.locator("#text .legend").inner_text()
    hover(shown, shown.locator(".text span").nth(3))
    assert "200.000" in tip(shown)
    shown.get_by_label("next unit").click()
    assert colours(shown) == SECOND and "0.50" in shown.locator("#text .legend").inner_text()


def test_another_unit_recolours_the_text(opened):
    shown = opened(small())
    assert colours(shown) == FIRST
    shown.get_by_label("next unit").click()
    assert colours(shown) == SECOND
    shown.get_by_label("unit", exact=True).select_option("7")
    assert colours(shown) == FIRST
    shown.locator("#findings button").click()  # only the sentence of a unit that is there can be clicked
    assert colours(shown) == SECOND
    shown.get_by_label("colour", exact=True).select_option("surprisal")
    assert colours(shown)[0] == "rgb(255, 255, 255)" and colours(shown)[3] == "rgb(213, 94, 0)"
    assert shown.get_by_label("next unit").is_hidden()
    shown.locator("#neurons button").click()
    assert colours(shown) == SECOND


def test_hovering_shows_the_numbers(opened):
    shown = opened(small())
    hover(shown, shown.locator(".text span").nth(2))
    assert tip(shown).splitlines() == [
        "“e”, position 2",
        "layer 1 memory, unit 7: 1.245",
        "target: “␣”",
        "surprisal: 1.50 nats",
    ]
    hover(shown, shown.locator("#time .cells"), 24 * 3 + 5, 14 + 5)
    assert tip(shown).splitlines()[:2] == ["“␣”, position 3", "layer 1 memory, unit 3: \u22122.500"]
    assert shown.locator(".here").get_attribute("data-at") == "3"
    hover(shown, shown.locator("#time svg"), 5, 40)
    assert "layer 1 memory, unit 7: \u22122.500" in tip(shown)
    hover(shown, shown.locator("#gradient svg"), 58, 100)
    assert tip(shown).splitlines() == ["lag (tokens back): 0", "inputs: 1.00", "states: 1.00"]
    hover(shown, shown.locator("#embeddings circle").first)
    assert "cosine 0.71" in tip(shown)
    shown.mouse.move(2, 2)
    assert shown.locator("#tip").is_hidden()


def test_a_click_on_a_row_of_the_map_recolours(opened):
    shown = opened(small())
    line = shown.locator("#time polyline").get_attribute("points")
    shown.locator("#time .cells").click(position={"x": 30, "y": 14 + 5})
    assert colours(shown) == SECOND
    assert shown.locator("#time polyline").get_attribute("points") != line
    assert shown.get_by_label("unit", exact=True).evaluate("list => list.selectedOptions[0].text") == "3"
    assert shown.locator("#time .cells div").first.evaluate("mark => mark.offsetTop") == 14


def test_the_keyboard_walks(opened):
    shown = opened(small())
    shown.locator(".text").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        shown.keyboard.press(key)
    assert colours(shown) == SECOND
    assert tip(shown).splitlines()[:2] == ["“h”, position 1", "layer 1 memory, unit 3: 2.500"]


def test_a_head_has_its_map_and_its_change_in_loss(opened):
    shown = opened(document(run(heads=3)))
    first, effect = picture(shown, "attention"), shown.locator("#attention [aria-live]")
    assert effect.inner_text() == "Without head 1: loss +0.183 nats, from 1.430 to 1.613."
    shown.get_by_role("button", name="head 3").click()
    assert picture(shown, "attention") != first
    assert effect.inner_text() == "Without head 3: loss +0.041 nats, from 1.430 to 1.471."
    shown.get_by_label("previous head").click()
    shown.locator("#attention tbody tr").first.click()
    assert picture(shown, "attention") == first
    hover(shown, shown.locator("#attention .cells"), 5, 5)
    assert tip(shown).splitlines() == ["“S” → “S”", "positions 0 → 0", "weight 1.000"]


def test_each_part_that_looks_has_its_own_heads(opened):
    one, other = run(heads=3), run(heads=2, seed=1)
    one["sections"].append(section(other, "attention") | {"name": "layer 4 attention", "ablated": []})
    shown = opened(document(one))
    first = picture(shown, "attention")
    shown.get_by_role("button", name="head 3").click()
    shown.get_by_label("layer", exact=True).select_option("layer 4 attention")
    assert picture(shown, "attention") != first
    assert shown.locator("#attention tbody tr").count() == 2
    assert shown.locator("#attention tbody tr.chosen").inner_text().startswith("head 1")
    assert shown.locator("#attention [aria-live]").inner_text() == ""


def test_two_runs_are_side_by_side_and_share_the_token(opened):
    data = document(run("a", (40, 20)), run("b", (40, 20), units=8, heads=0, seed=1))
    shown = opened(data)
    left, right = (shown.locator(".text").nth(n).bounding_box() for n in range(2))
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    hover(shown, shown.locator(".text").nth(1).locator("span").nth(4))
    assert shown.locator(".here").evaluate_all("all => all.map(one => one.dataset.at)") == ["4", "4"]
    assert tip(shown).count("position 4") == 2 and "— a —" in tip(shown) and "— b —" in tip(shown)
    before = colours(shown, 0), colours(shown, 1)
    shown.get_by_label("next unit").nth(1).click()
    assert colours(shown, 0) == before[0] and colours(shown, 1) != before[1]
    shown.get_by_label("next row").nth(0).click()
    assert [len(colours(shown, n)) for n in range(2)] == [20, 20]
    stacked = opened(data, width=390)
    left, right = (stacked.locator(".text").nth(n).bounding_box() for n in range(2))
    assert left["x"] == right["x"] and left["y"] + left["height"] < right["y"]


def empty(**given):
    lists = ("findings", "topics", "rows", "traces", "sections")
    nothing = {"name": "e", "summary": "an empty run", "loss": None}
    return nothing | {name: [] for name in lists} | given


WHOLE = run(lengths=(9, 0, 1))
CASES = {
    "no run": ([], ""),
    "nothing": ([empty()], ""),
    "null": ([empty(findings=None, topics=None, rows=None, traces=None, sections=None)], ""),
    "rows alone": ([empty(rows=[{"tokens": ["a"], "targets": ["b"], "surprisal": [], "source": []}])], "text"),
    "surprisal alone": ([empty(rows=WHOLE["rows"])], "text time"),
    "no rows": ([empty(traces=WHOLE["traces"], sections=[section(WHOLE, "neurons")])], "neurons"),
    "no units": ([WHOLE | {"traces": [WHOLE["traces"][0] | {"units": []}]}], None),
    "one of two": ([WHOLE, empty(rows=WHOLE["rows"][:1])], None),
    "zeros": (
        [empty(sections=[section(WHOLE, "gradient") | {"curves": [{"name": "a", "x": [0, 1], "y": [0, 0]}]}])],
        "gradient",
    ),
    "empty sections": (
        [empty(sections=[section(WHOLE, "gradient") | {"curves": []}, section(WHOLE, "neurons") | {"rows": []}])],
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_missing_is_not_there(opened, name):
    runs, sections = CASES[name]
    shown = opened(document(*copy.deepcopy(runs)))
    assert shown.locator("h1").count() == 1
    if sections is not None:
        assert shown.locator("section").evaluate_all("all => all.map(one => one.id)") == sections.split()
    for _ in range(2):
        if shown.get_by_label("next row").first.is_visible():  # also to the row without a token
            shown.get_by_label("next row").first.click()


def test_words_are_set_apart_and_letters_are_not(opened):
    row = {
        "tokens": ["ein", "mann", "<end>"],
        "targets": ["mann", "<end>", "<end>"],
        "surprisal": [],
        "source": ["a", "man"],
    }
    shown = opened(document(empty(rows=[row])))
    assert shown.locator(".text").inner_text().split() == row["tokens"]
    assert shown.get_by_text("Source: a man").is_visible()
    row = {"tokens": ["a", "␣", "b", "\\n", "c"], "targets": list("abcde"), "surprisal": [], "source": []}
    assert opened(document(empty(rows=[row]))).locator(".text").inner_text() == "a b↵\nc"


def test_tokens_are_text_not_markup(opened):
    one = run()
    one["rows"][0]["tokens"][:4] = ["<b>", "</script>", "<img src=x onerror=alert(1)>", "&amp;"]
    shown = opened(document(one | {"name": "<i>run</i>"}))
    assert shown.locator(".text span").nth(2).inner_text() == "<img src=x onerror=alert(1)>"
    assert shown.title() == shown.locator("h1").inner_text() == "<i>run</i>"


def test_a_phone_is_wide_enough_and_a_tap_tells(opened):
    data = document(
        run("runs/a-rather-long-name_of-a-run-of-an-lstm-with-everything", (300, 5), 64, 4), run("b", (300, 5))
    )
    shown = opened(data, width=390, has_touch=True, is_mobile=True)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    shown.locator(".text span").nth(12).tap()
    assert "position 12" in tip(shown)
    box = shown.locator("#tip").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_labels_of_embeddings_do_not_overlap(opened):
    shown = opened(document(run()))
    boxes = "all => all.map(one => one.getBBox()).map(b => [b.x, b.y + 3, b.x + b.width, b.y + b.height - 1])"
    found = shown.locator("#embeddings circle ~ text").evaluate_all(boxes)
    assert len(found) > 30
    for nth, (left, top, right, bottom) in enumerate(found):
        for a, b, c, d in found[nth + 1 :]:
            assert left >= c - 1 or right <= a + 1 or top >= d - 1 or bottom <= b + 1


def test_the_dark_page_is_dark_at_once(opened):
    shown = opened(small())
    shown.emulate_media(color_scheme="dark")
    shown.wait_for_function(
        "getComputedStyle(document.querySelector('.text span')).backgroundColor == 'rgb(86, 180, 233)'"
    )
    assert colours(shown)[1] == "rgb(21, 23, 27)"  # a hundredth towards orange


def test_a_real_look_at_rows_of_different_lengths_opens(opened, tmp_path):
    recipe = quick("reverse", tmp_path)
    task = build.task(recipe, build.dataset(recipe).read())
    model = build.model(recipe, task.inputs, task.targets, task.source)
    look = Inspection(model, task.probe("valid", 8, 40), task.input_labels, name="reverse")
    found = collect(look, view_names("all"), lambda sentence: None)
    shown = opened(report_of([look], [found], ["untrained"]))
    assert shown.locator("#attention canvas").count() == 1
    layers = found["attention"].layers
    weights = layers[-1]
    shown.get_by_label("layer", exact=True).select_option(weights.name) if len(layers) > 1 else None
    canvas = shown.locator("#attention canvas").first
    size = canvas.evaluate("canvas => [canvas.height, canvas.width]")
    assert size == [len(weights.rows), len(weights.columns)] == list(weights.weights.shape[1:])
    shown.get_by_label("next row").click()
    assert shown.locator("#text .text span, #text .words span").count() == len(look.rows.tokens[1])


def panels(*some):
    """A run whose one section has these panels."""
    return empty(sections=[{"id": "mine", "title": "Mine", "renderer": one.renderer, **one.data()} for one in some])


def test_a_view_of_ones_own_needs_no_javascript(opened):
    losses = Lines([Curve("a", [1, 2, 4], [3.0, 2.0, 1.5]), Curve("b", [2], [2.5])], "step", "nats")
    cells = Heatmap([[-1.0, 0.0], [1.0, 0.5]], ["up", "down"], ["x", "y"], "unit", "token", note="made up")
    shown = opened(document(panels(losses, cells, Table(["name", "size"], [["one", "1"], ["two", "2"]], numbers=1))))
    assert shown.locator("section").evaluate_all("all => all.map(one => one.id)") == ["mine"]
    assert shown.locator("#mine h2").inner_text() == "Mine"
    assert shown.locator("#mine polyline").count() == 2
    hover(shown, shown.locator("#mine svg").first, 58 + 230, 100)
    assert tip(shown).splitlines() == ["step: 2", "a: 2.00", "b: 2.50"]
    hover(shown, shown.locator("#mine .cells"), 30, 5)
    assert tip(shown).splitlines() == ["unit: up", "token: y", "0.004"]  # a byte of 255 is that coarse
    assert shown.locator("#mine .axis").inner_text() == "↓ unit. → token. made up"
    assert shown.locator("#mine tbody tr").all_inner_texts() == ["one\t1", "two\t2"]
    assert shown.locator("#mine tbody td.number").all_inner_texts() == ["1", "2"]


def test_more_findings_are_folded_by_topic(opened):
    shown = opened(document(run()))
    inside = shown.get_by_text("a tenth is left 14 tokens back")
    assert inside.is_hidden()
    shown.get_by_text("More findings, by topic").click()
    assert inside.is_visible() and shown.locator("#findings h3").inner_text() == "Gradient by lag"

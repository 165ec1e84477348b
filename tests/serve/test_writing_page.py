"""The writing page in a browser: typed, edited, accepted, coloured, switched, played, and never lost."""

import re
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

import unspool.serve
from helpers.editing import TEXT, run_of, tokenizer_of
from helpers.models import small
from helpers.serving import serving
from unspool import Tokens, tokenizers
from unspool.runs.run import Run
from unspool.serve.editor import editor

fastapi = pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")
FILES = sorted((Path(unspool.serve.__path__[0]) / "page").iterdir())
LONG = (TEXT * 300)[:20_000]
TUNE = "X:1\nT:Two bars\nM:2/4\nL:1/8\nK:G\nGABc|d2 B2|\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_sources_fit_in_a_sitting_and_name_no_network(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300 and max(map(len, text.splitlines())) <= 120
    assert set(re.findall(r"https?://[^\"'\s]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|\burl\(|\beval\(|innerHTML", text)


class Served:
    """A server on a free port that is asked by the browser, and its documents."""

    def __init__(self, run):
        app = fastapi.FastAPI(openapi_url=None)
        app.include_router(editor(run, threading.Lock()))
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def stop(self):
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture(scope="module")
def served():
    found = {name: Served(run_of(name)) for name in ("lstm", "transformer")}
    yield found
    for one in found.values():
        one.stop()


@pytest.fixture
def opened(chromium, served):
    """Opens the page; at the end nobody may have complained, or asked another host."""
    problems, contexts = [], []

    def open_page(run="lstm", width=1280, height=800, text=None, tokens=None, url=None, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        shown = context.new_page()
        shown.set_default_timeout(20_000)
        shown.on("console", lambda message: problems.append(message.text))
        shown.on("pageerror", lambda error: problems.append(str(error)))
        host = url or served[run].url
        shown.on("request", lambda asked: asked.url.startswith((host, "data:")) or problems.append(asked.url))
        shown.goto(host)
        shown.locator("html[data-ready]").wait_for()
        if text is not None:
            paste(shown, text)
            read(shown, len(text) if tokens is None else tokens)
        return shown

    open_page.problems = problems
    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def read(shown, tokens):
    """Waits until so many tokens are read; how many were read for it."""
    status = shown.locator("#read").filter(has_text=re.compile(rf"^{tokens:,} tokens?, [\d,]+ just read"))
    status.wait_for()
    return int(re.search(r", ([\d,]+) just read", status.inner_text())[1].replace(",", ""))


def paste(shown, text):
    script = "(area, text) => { area.value = text; area.dispatchEvent(new Event('input')); }"
    shown.locator("#text").evaluate(script, text)


def caret(shown, place):
    shown.locator("#text").evaluate("(area, place) => { area.focus(); area.setSelectionRange(place, place); }", place)


def text_of(shown):
    return shown.locator("#text").input_value()


def colours(shown):
    shown.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return shown.locator("#mirror span:not(.ghost)").evaluate_all("all => all.map(one => one.style.background)")


def options(shown, **values):
    shown.locator("summary").click()
    for name, value in values.items():
        field = shown.locator(f"#{name.replace('_', '-')}")
        field.select_option(value) if name == "pace" else field.fill(value)
    shown.keyboard.press("Escape")


def test_typing_reads_a_token_and_tab_takes_the_suggestion(opened):
    shown = opened(text=TEXT)
    caret(shown, len(TEXT))
    shown.keyboard.type("a")
    assert read(shown, len(TEXT) + 1) == 1
    shown.locator("#offers button.first").wait_for()
    word = shown.locator("#offers button.first").evaluate("button => button.firstChild.data")
    assert shown.locator(".ghost").evaluate("ghost => ghost.firstChild.data") == word[1:]
    shown.keyboard.press("Tab")
    assert text_of(shown) == TEXT + word
    read(shown, len(TEXT) + len(word))
    shown.keyboard.press("Control+z")
    assert text_of(shown) == TEXT + "a"  # the browser's own undo
    shown.keyboard.type(" ")
    shown.locator("#offers button").nth(1).wait_for()
    second = shown.locator("#offers button").nth(1).evaluate("button => button.firstChild.data")
    shown.keyboard.press("Alt+2")
    assert text_of(shown) == TEXT + "a " + second
    shown.keyboard.type(" ")
    shown.locator("#offers button.first").wait_for()
    shown.keyboard.press("Escape")
    assert shown.locator("#offers button").count() == 0
    shown.keyboard.press("Tab")  # nothing is suggested: Tab goes on as ever
    assert shown.evaluate("document.activeElement.id") != "text"


def test_the_middle_of_20_000_characters_is_edited(opened):
    shown = opened(text=LONG)
    caret(shown, 12_000)
    shown.keyboard.type("x")
    follows = 20_001 - 12_000
    assert follows <= read(shown, 20_001) <= follows + 141  # sqrt(20,000)
    assert text_of(shown) == LONG[:12_000] + "x" + LONG[12_000:]
    lines = shown.locator("#mirror > div").evaluate_all("all => all.map(one => one.textContent)")
    assert "\n".join(lines).replace("\u200b", "") == text_of(shown)
    heights = shown.evaluate(
        "[document.querySelector('#text').scrollHeight, document.querySelector('#mirror').clientHeight]"
    )
    assert abs(heights[0] - heights[1]) <= 1  # the colours lie under their letters
    assert 0 < shown.locator("#mirror span").count() < 8_000  # of the lines that are seen alone


def test_the_keys_of_a_phone(opened):
    shown = opened(width=360, height=740, has_touch=True, is_mobile=True, text="the ")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    assert shown.locator("#keypad").is_visible()
    for key in "228":
        shown.get_by_label(f"{key}:").tap()
    shown.locator("#offers button.first").filter(has_text=re.compile("^[abc2][abc2][tuv8]", re.I)).wait_for()
    word = shown.locator("#offers button.first").evaluate("button => button.firstChild.data")
    shown.get_by_label("next word").tap()
    other = shown.locator("#offers button.first").evaluate("button => button.firstChild.data")
    assert other != word
    shown.get_by_label("space").tap()
    assert text_of(shown) == f"the {other} "
    shown.get_by_label("delete").tap()
    shown.get_by_label("1:").tap()
    assert text_of(shown) == f"the {other}."
    read(shown, len(other) + 5)


def test_it_writes_at_the_temperature_that_is_set_and_again(opened):
    shown = opened(text="the ")
    options(shown, length="30", pace="0", temperature="0")
    assert shown.locator("output[for=temperature]").inner_text() == "0.00"
    written = []
    for _ in range(2):
        shown.locator("#write").click()
        read(shown, 34)
        written.append(text_of(shown))
        shown.locator("#undo").click()
        read(shown, 4)
    assert written[0] == written[1] and text_of(shown) == "the "
    shown.locator("#temperature").fill("1.5")
    caret(shown, 3)
    shown.locator("#write").click()
    read(shown, 34)
    assert text_of(shown).startswith("the") and text_of(shown).endswith(" ") and text_of(shown)[:-1] != written[0][:33]
    warm = text_of(shown)
    shown.locator("#again").click()
    read(shown, 34)
    shown.locator("#again:enabled").wait_for()
    assert text_of(shown) == warm  # the same seed


def test_it_stops(opened):
    shown = opened(text="the ")
    options(shown, length="5000", pace="40")
    shown.locator("#write").click()
    shown.locator("#read").filter(has_text="writing").wait_for()
    shown.keyboard.press("Escape")
    shown.locator("#write").filter(has_text="Write").wait_for()
    read(shown, len(text_of(shown)))
    shown.locator("#write").click()
    shown.locator("#read").filter(has_text="writing").wait_for()
    before = text_of(shown)
    shown.locator("#text").press("x")  # typing stops it too, and what was typed stays
    shown.locator("#write").filter(has_text="Write").wait_for()
    assert read(shown, len(text_of(shown))) >= 0 and "x" in text_of(shown)[len(before) :]


def test_the_text_is_coloured_by_what_is_chosen(opened):
    shown = opened(text=TEXT)
    seen = [colours(shown)]
    shown.locator("#colour").select_option("unit")
    shown.locator("#legend").filter(has_text="\N{MINUS SIGN}").wait_for()
    read(shown, len(TEXT))
    shown.locator("#place").select_option(label="layer 1 forget")
    shown.locator("#legend").filter(has_text="shut").wait_for()
    seen.append(colours(shown))
    shown.get_by_label("next unit").click()
    shown.locator("#here").filter(has_text="unit 1 at").wait_for()
    seen.append(colours(shown))
    shown.locator("#colour").select_option("none")
    shown.locator("#legend:empty").wait_for(state="attached")
    assert colours(shown) == [] and len({str(one) for one in seen}) == 3
    before = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    shown.locator("#theme").click()
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") != before
    attention = opened("transformer", text=TEXT)
    attention.locator("#colour").select_option("attention")
    attention.locator("#legend").filter(has_text="%").wait_for()


def picture(shown, path):
    return shown.locator(f"canvas[data-path='{path}']").evaluate("canvas => canvas.toDataURL()")


def test_a_gate_is_switched_while_it_writes_and_let_go(opened):
    shown = opened(text="the ")
    options(shown, length="60", pace="40", seed="3")
    shown.locator("#new-seed").evaluate("box => box.checked = false")
    gate = "core.layers.0.0.output"
    still = picture(shown, gate)
    shown.locator("#write").click()
    shown.locator("#read").filter(has_text=re.compile("^([89]|[1-9][0-9]) tokens, writing")).wait_for()
    assert picture(shown, gate) != still  # it moves
    shown.get_by_label("force all units of layer 1 output shut").click()
    shown.locator("#switches button").filter(has_text="output all shut, from").wait_for()
    begin = int(re.search(r"from (\d+)", shown.locator("#switches").inner_text())[1])
    read(shown, 64)
    switched = text_of(shown)
    assert 4 < begin < 64
    shown.locator("#switches button").filter(has_text="output all shut").click()
    shown.locator("#switches button").filter(has_text="Undo").wait_for()
    shown.locator("#switches button").filter(has_text="output").wait_for(state="detached")
    shown.locator("#again").click()
    shown.locator("#again:enabled").wait_for()
    read(shown, 64)
    assert text_of(shown)[:begin] == switched[:begin] and text_of(shown) != switched
    shown.locator("#switches button").filter(has_text="Undo").click()
    shown.locator("#switches button").filter(has_text="output all shut").wait_for()


def test_a_unit_is_switched_by_keyboard_and_a_head_by_a_click(opened):
    shown = opened(text=TEXT)
    shown.locator("canvas").nth(1).focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        shown.keyboard.press(key)
    shown.locator("#switches button").filter(has_text="forget 1 open").wait_for()
    shown.keyboard.press("Enter")
    shown.locator("#switches button").filter(has_text="forget 1 shut").wait_for()
    shown.keyboard.press("Enter")
    shown.locator("#switches button").filter(has_text="forget 1").wait_for(state="detached")
    heads = opened("transformer", text=TEXT)
    heads.locator("canvas").first.click(position={"x": 30, "y": 30})
    heads.locator("#switches button").filter(has_text="attention 1 off").wait_for()


def test_a_tune_is_shown_as_notes_and_played(opened):
    shown = opened(text=TUNE)
    shown.locator("#staff rect").nth(5).wait_for()
    assert shown.locator("#staff rect").count() == 6 and shown.locator("#title").inner_text() == "Two bars"
    shown.locator("#play").click()
    shown.locator("#staff rect.sounding").first.wait_for()
    shown.locator("#play").filter(has_text="Stop").click()
    assert shown.locator("#play").inner_text() == "Play"
    caret(shown, len(TUNE))
    shown.keyboard.type("[[")
    shown.locator("#tune-error").filter(has_text="line 7").wait_for()


def test_the_text_outlives_the_page_and_the_server(opened):
    own = Served(run_of())
    try:
        shown = opened(url=own.url, text=TEXT)
        shown.wait_for_timeout(500)
        shown.reload()
        shown.locator("html[data-ready]").wait_for()
        assert text_of(shown) == TEXT
        port = int(own.url.rpartition(":")[2])
    finally:
        own.stop()
    opened.problems.clear()
    caret(shown, len(TEXT))
    shown.keyboard.type("a")
    shown.locator("#error").filter(has_text="The server does not answer; your text is kept in this browser.").wait_for()
    assert text_of(shown) == TEXT + "a" and port
    opened.problems.clear()  # the browser says so as well


def test_a_document_that_was_closed_is_read_again(opened):
    shown = opened(text=TEXT)
    asked = []
    shown.on("request", lambda request: asked.append(request.url))
    caret(shown, len(TEXT))
    shown.keyboard.type(" ")
    read(shown, len(TEXT) + 1)
    assert shown.request.delete(asked[-1].removesuffix("/edit")).ok
    shown.keyboard.type("a")
    assert read(shown, len(TEXT) + 2) == len(TEXT) + 2
    shown.keyboard.type(" ")
    read(shown, len(TEXT) + 3)
    assert shown.request.delete(asked[-1].removesuffix("/edit")).ok
    options(shown, length="5", pace="0")
    shown.locator("#write").click()
    read(shown, len(TEXT) + 8)
    assert any("404" in problem for problem in opened.problems)
    opened.problems.clear()  # Chromium tells of the answer 404


def test_characters_of_two_halves_and_markup_are_text(opened):
    text, tokenizer = "the <b>&amp;</b> 😀 cat", tokenizer_of("char")
    unknown = tokenizer.unknown(text)
    shown = opened(text=text, tokens=len(text) - sum(text.count(letter) for letter in unknown))
    assert text_of(shown) == text
    caret(shown, len("the <b>&amp;</b> 😀".encode("utf-16-le")) // 2)
    shown.keyboard.press("Backspace")
    shown.keyboard.type("s")
    shown.locator("#read").filter(has_text=f"unknown to the model: {' '.join(unknown[:-1])}").wait_for()
    assert text_of(shown) == "the <b>&amp;</b> s cat"
    assert shown.locator("#mirror b").count() == 0


def test_a_run_that_does_not_write_gets_a_page_that_says_so(opened):
    domain = Tokens(5)
    run = Run(
        small(inputs=domain, bidirectional=True), tokenizers.build("tokenizer", "char").fit("abcd\n"), name="both"
    )
    own = Served(run)
    try:
        shown = opened(url=own.url)
        assert shown.locator("#refused").inner_text().startswith("This model reads both ways")
        assert shown.locator("#app").is_hidden() and "predict" in shown.locator("code").inner_text()
    finally:
        own.stop()


@pytest.fixture
def guarded():
    with serving({"small": run_of("lstm")}, token="a-secret-token") as found:
        yield found


def test_a_token_is_asked_for_once_and_kept_in_the_tab(chromium, guarded):
    """It is in no address and in no cookie, and the page of another tab asks again."""
    context, url, seen = chromium.new_context(), f"http://127.0.0.1:{guarded.port}/", []
    shown = context.new_page()
    shown.set_default_timeout(20_000)
    shown.on("request", lambda asked: seen.append((asked.url, asked.headers.get("authorization"))))
    shown.goto(url)
    field = shown.get_by_label("This server needs a token")
    assert shown.locator("#app").is_hidden()
    for wrong, message in (("  ", "one at least"), ("ключ", "ASCII"), ("another-token", "does not accept this token")):
        field.fill(wrong)
        field.press("Enter")
        shown.locator("#token-error").filter(has_text=message).wait_for()
    field.fill(" a-secret-token ")
    shown.get_by_role("button", name="Open").click()
    shown.locator("html[data-ready]").wait_for()
    assert shown.locator("#token").is_hidden() and shown.locator("#app").is_visible()
    paste(shown, TEXT)
    read(shown, len(TEXT))
    shown.reload()
    shown.locator("html[data-ready]").wait_for()  # it is not asked for again
    read(shown, len(TEXT))
    assert shown.url == url and context.cookies() == [] and not any("secret" in one for one, _ in seen)
    assert all(given in (None, "Bearer another-token", "Bearer a-secret-token") for _, given in seen)
    assert {given for one, given in seen if "/editor/" not in one} == {None}  # files of the page need none
    stored = shown.evaluate("[JSON.stringify(sessionStorage), JSON.stringify(localStorage)]")
    assert "a-secret-token" in stored[0] and "a-secret-token" not in stored[1]
    other = context.new_page()
    other.goto(url)
    other.locator("#token").wait_for()
    context.close()


def test_a_token_that_is_no_longer_valid_is_asked_for_again(chromium, guarded):
    """Whatever the page was doing goes on behind the new one, and no text is lost."""
    context = chromium.new_context()
    shown = context.new_page()
    shown.set_default_timeout(20_000)
    shown.goto(f"http://127.0.0.1:{guarded.port}/")
    shown.locator("#token-field").fill("a-secret-token")
    shown.locator("#token-field").press("Enter")
    shown.locator("html[data-ready]").wait_for()
    paste(shown, TEXT)
    read(shown, len(TEXT))
    object.__setattr__(guarded.server.settings, "token", "another-token")
    caret(shown, len(TEXT))
    shown.keyboard.type("ab")
    shown.locator("#token").wait_for()
    shown.locator("#token-field").fill("another-token")
    shown.locator("#token-field").press("Enter")
    read(shown, len(TEXT) + 2)
    assert text_of(shown) == TEXT + "ab"
    context.close()


def test_files_of_the_page_need_no_token_and_nothing_else_is_open(guarded):
    page = [("/", 200), ("/page/main.js", 200), ("/page/nothing.js", 404), ("/page/../v1/models", 404)]
    page.append(("/page%2f..%2fmetrics", 404))  # no file of the page, whatever it is below
    closed = ["/editor/about", "/v1/models", "/metrics", "/page", "//", "/openapi.json"]
    for path, status in [*page, *((path, 401) for path in closed)]:
        connection = HTTPConnection("127.0.0.1", guarded.port)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (path, answer.status) == (path, status)
        connection.close()
    for path in ("/", "/page/main.js", "/editor/documents"):
        assert guarded.ask("POST", path, {})[0] == 401

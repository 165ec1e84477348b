"""Analogies and phrases: views that answer a question, on vectors whose answers are known."""

import json

import pytest
import torch

from helpers.commands import run
from helpers.models import small
from unspool import ConfigError, DataError, Run, Tokens
from unspool.data.preprocessors.parallel import ParallelText
from unspool.data.tokenizer import tokenizers
from unspool.look.analogies import Score, WordVectors, parse_question, read_questions
from unspool.look.canvas import Picture, labels
from unspool.look.panels import Scatter, Table
from unspool.look.phrases import Phrase, final_of, phrase_vectors, precision_at, read_phrases
from unspool.look.view import view_names
from unspool.models.sequence import Encoder, SequenceModel
from unspool.nn.core import cores
from unspool.nn.embeddings import embedding
from unspool.nn.heads import head
from unspool.runs.probes import look_at_weights

WORDS = ["man", "woman", "king", "queen", "paris", "duke", "duchess"]
TABLE = [[1.0, 0, 1, 0], [1, 0, -1, 0], [1, 1, 1, 0], [1, 1, -1, 0], [0, 0, 0, 1], [1, 2, 1, 0], [1, 2, -1, 0]]
"""Directions: a person, rank, a man; and a town."""
QUESTIONS = (
    ": family\nMan king woman queen\nman woman king queen\n: capitals\nking man queen paris\nman rome king oslo\n"
)


def word_run():
    """A word model whose input embedding is `TABLE`; its unknown word is nowhere."""
    words = tokenizers.build("tokenizer", "word").fit(" ".join(WORDS))
    model = small(inputs=Tokens(words.size), width=4)
    with torch.no_grad():
        model.embedding.weight.zero_()
        for word, vector in zip(WORDS, TABLE, strict=True):
            model.embedding.weight[words.ids[word]] = torch.tensor(vector)
    return Run(model, words)


def encoder_run(bidirectional=False):
    """A translator that was never trained."""
    torch.manual_seed(0)
    words = tokenizers.build("tokenizer", "word").fit("one two three four \n")
    reader = cores.build("core", "recurrent", width=6, cell="gru", bidirectional=bidirectional)
    writer = cores.build("core", {"kind": "recurrent", "conditioning": "initial", "source_width": 6}, width=6)
    domain = Tokens(words.size)
    encoder = Encoder(embedding(domain, 6), reader)
    return SequenceModel(embedding(domain, 6), writer, head(domain, 6), encoder).eval(), ParallelText(words, words)


# Analogies


def test_an_analogy_that_holds_by_construction_is_answered_with_its_cosine():
    vectors = WordVectors(torch.tensor(TABLE), {word: id for id, word in enumerate(WORDS)})
    best = vectors.answers("man", "woman", "king", 5)
    a, b, c, d = (vectors.unit[WORDS.index(word)] for word in ("man", "woman", "king", "queen"))
    wanted = b - a + c
    assert best[0] == ("queen", pytest.approx(float(wanted @ d / wanted.norm()), abs=1e-4))
    assert len(best) == 4 and not {"man", "woman", "king"} & {word for word, _ in best}


def test_analogies_are_counted_by_section_and_unknown_words_skipped(tmp_path):
    file = tmp_path / "questions.txt"
    file.write_text(QUESTIONS)
    vectors = WordVectors(torch.tensor(TABLE), {word: id for id, word in enumerate(WORDS)})
    found = vectors.score(read_questions(file))
    assert list(found) == ["family", "capitals", "all"]
    assert found["family"] == Score(right=2, in_five=2, asked=2, skipped=0)
    assert found["capitals"] == Score(right=0, in_five=1, asked=1, skipped=1)
    assert found["all"].accuracy == pytest.approx(2 / 3) and found["all"].accuracy_of_five == 1


def test_nothing_known_is_no_accuracy():
    vectors = WordVectors(torch.tensor(TABLE), {word: id for id, word in enumerate(WORDS)})
    found = vectors.score({"towns": [["rome", "italy", "oslo", "norway"]]})
    assert found["all"] == Score(0, 0, 0, 1) and found["all"].accuracy is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (": a\none two three four\nthree words only\n", r"line 3: 'three words only' is no question"),
        ("", "no question in"),
        (": a section alone\n", "no question in"),
    ],
)
def test_a_malformed_file_is_one_sentence(text, message, tmp_path):
    file = tmp_path / "questions.txt"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_questions(file)


@pytest.mark.parametrize("read", [read_questions, read_phrases])
def test_files_that_options_name_are_read_alike(read, tmp_path):
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 a b c\n" * 3)
    assert "caf\xe9" in str(read(tmp_path / "latin.txt"))
    for name, says, hint in (
        ("none.txt", "there is no file", "check its name"),
        ("", "is a folder, and a file is wanted", "name a file in it"),
        ("binary.txt", "is not text: byte 0", "convert it to plain text"),
    ):
        with pytest.raises(DataError, match=says) as error:
            read(tmp_path / name)
        assert hint in error.value.hint and "data.encoding" not in error.value.hint


@pytest.mark.parametrize(
    "text", ["king:man:queen:?", "king:man::queen", "a:b::c:d", "a:b::?:c", ":b::c:?", "", "a::b::c:?"]
)
def test_a_malformed_question_is_refused(text):
    with pytest.raises(DataError, match="is no analogy"):
        parse_question(text)


def test_the_view_has_a_table_a_picture_and_data(tmp_path):
    file = tmp_path / "questions.txt"
    file.write_text(QUESTIONS)
    view = look_at_weights(word_run()).view("analogies", question="man:king::woman:?", file=file, count=2)
    assert view.answered[0].answers[0][0] == "queen" and len(view.answered[0].answers) == 2
    assert view.summary()[0].startswith("man is to king as woman is to queen (cosine ")
    assert "66.7 % right, 100.0 % among the first 5 of 3 questions (1 skipped" in view.summary()[1]
    assert "chance is 1/8 = 12.5 % and 5/8 = 62.5 %" in view.summary()[1]
    assert [type(panel) for panel in view.panels()] == [Table, Table]
    assert view.panels()[1].rows[-1] == ["all", "3", "1", "66.7 %", "100.0 %"]
    bars = view.pictures()[""].axes[0]
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([100, 100, 100, 100, 0, 200 / 3])
    assert view.pictures()["2"].axes[0].artists[0].texts[:4] == ["man", "king", "woman", "queen"]
    assert json.loads(json.dumps(view.data()))["sections"]["capitals"]["top5"] == 1


def test_the_unknown_word_and_white_space_are_no_answers_and_can_be_drawn(tmp_path):
    table = torch.tensor([[0.0, 1.0], [0.1, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    words = WordVectors(table, {"<unk>": 0, "\n": 1, "up": 2, "right": 3, "level": 4})
    with pytest.raises(DataError, match="no other word"):
        words.answers("right", "level", "up")
    assert [word for word, _ in words.answers("up", "up", "up", count=9)] == ["right", "level"]
    picture = Picture(2.0, 2.0)
    assert labels(picture.axes[0], ["\n", "a b"], [(0, 0), (1, 1)]).texts == ["\\n", "a b"]
    picture.save(tmp_path / "labels.png")


def test_characters_are_no_words_and_unknown_words_are_named():
    letters = tokenizers.build("tokenizer", "char").fit("abc")
    characters = Run(small(inputs=Tokens(letters.size)), letters)
    with pytest.raises(DataError, match="a model that reads words, and this one does not: its tokenizer is char"):
        look_at_weights(characters).view("analogies", question="a:b::c:?")
    with pytest.raises(DataError, match="does not know 'rome' and 'oslo'"):
        look_at_weights(word_run()).view("analogies", question="rome:man::oslo:?")
    with pytest.raises(DataError, match="no analogy to ask"):
        look_at_weights(word_run()).view("analogies")


# Phrases


def test_precision_is_counted_by_group_beside_chance():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0], [0.1, 1.0], [-1.0, -1.0]])
    found = precision_at(vectors, ["a", "a", "a", "b", "b", ""], 2)
    assert found["a"].value == 1 and found["a"].chance == pytest.approx(2 / 5) and found["a"].limit == 1
    assert found["b"].value == 0.5 and found["b"].limit == 0.5 and found["b"].chance == pytest.approx(1 / 5)
    assert found["all"].value == pytest.approx((3 * 1 + 2 * 0.5) / 5) and found["all"].phrases == 5
    assert precision_at(vectors, [""] * 6) == {}


def test_phrases_are_read_with_and_without_groups(tmp_path):
    file = tmp_path / "phrases.txt"
    file.write_text("month\tin may\n\nthe third \nday\tthe first\n")
    assert read_phrases(file) == [Phrase("in may", "month"), Phrase("the third"), Phrase("the first", "day")]
    file.write_text("month\tmay\nmonth\t \nday\tone\n")
    with pytest.raises(DataError, match="line 2: there is no phrase behind the tab"):
        read_phrases(file)
    file.write_text("may\njune\n")
    with pytest.raises(DataError, match="too few"):
        read_phrases(file)
    with pytest.raises(DataError, match="there is no file"):
        read_phrases(tmp_path / "none.txt")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_encoders_vectors_are_the_mean_and_the_end_of_its_outputs(bidirectional):
    model, words = encoder_run(bidirectional)
    texts = ["One two", "three", "four three two one"]
    mean, final = (phrase_vectors(model, words, texts, pooling) for pooling in ("", "final"))
    for text, one, other in zip(texts, mean, final, strict=True):
        y = model.encoder(words.encode({"source": text}).input.unsqueeze(0))[0]
        torch.testing.assert_close(one, y.mean(dim=0), atol=1e-6, rtol=0)
        ends = torch.cat([y[-1, :3], y[0, 3:]]) if bidirectional else y[-1]
        torch.testing.assert_close(other, ends, atol=1e-6, rtol=0)


def test_the_final_state_of_a_bidirectional_core_is_that_of_both_directions():
    core = cores.build("core", "recurrent", width=6, cell="gru", bidirectional=True)
    x, mask = torch.randn(2, 5, 6), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    y, state = core(x, core.start(x), mask)
    wanted = torch.cat([state[0][0][0], state[0][1][0]], dim=-1)
    torch.testing.assert_close(final_of(core, y, mask), wanted)


def test_a_language_models_vector_is_its_output_after_the_phrase():
    known = word_run()
    found = phrase_vectors(known.model, known.preprocessor, ["king man", "queen"])
    for text, vector in zip(["king man", "queen"], found, strict=True):
        ids = torch.from_numpy(known.tokenizer.encode(text)).unsqueeze(0)
        y, _ = known.model.hidden_states(ids, known.model.start(ids))
        torch.testing.assert_close(vector, y[0, -1])


def test_the_view_of_phrases_has_precision_neighbours_and_a_picture():
    given = ["x\tking king", "x\tking", "y\tparis", "y\tparis paris", "rome"]
    view = look_at_weights(word_run()).view("phrases", phrases=given, count=1)
    vectors = phrase_vectors(word_run().model, word_run().preprocessor, [one.text for one in view.phrases])
    cosines = torch.nn.functional.cosine_similarity(vectors[:1], vectors[1:])
    assert view.neighbours[0] == [
        (view.phrases[1 + int(cosines.argmax())].text, pytest.approx(float(cosines.max()), abs=1e-4))
    ]
    assert view.unknown == ["rome"] and "does not know 'rome'" in view.summary()[-1]
    assert view.precision["all"].chance == pytest.approx(1 / 4)
    assert [type(panel) for panel in view.panels()] == [Table, Scatter, Table]
    axes = view.plot().axes[0]
    assert axes.artists[0].texts == [one.text for one in view.phrases]
    assert [len(one.get_offsets()) for one in axes.collections] == [2, 2, 1]
    json.dumps(view.data(), allow_nan=False)


def test_a_model_without_phrases_is_refused():
    with pytest.raises(DataError, match="need an encoder of texts, or a language model"):
        phrase_vectors(small(), None, ["a"])
    with pytest.raises(DataError, match="no phrases to read"):
        look_at_weights(word_run()).view("phrases")


# The command


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A folder with a word model, questions and phrases."""
    word_run().save(tmp_path / "words")
    (tmp_path / "questions.txt").write_text(QUESTIONS)
    (tmp_path / "phrases.txt").write_text("x\tking\nx\tking king\ny\tparis\ny\tparis paris\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_answers_without_data_or_a_page(words, capsys):
    options = ["--analogy", "man:king::woman:?", "--analogies", "questions.txt", "--phrases", "phrases.txt", "--top", 1]
    assert run("look", "words", *options) == 0
    out = capsys.readouterr().out
    assert "man is to king as woman is to queen" in out and "family    2      0        100.0 %  100.0 %" in out
    assert "phrases: " in out and "nearest, with cosines" in out
    assert {path.name for path in (words / "words/look").iterdir()} == {
        "analogies.png",
        "analogies-2.png",
        "phrases.png",
    }
    assert run("look", "words", *options, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert set(found) == {"analogies", "phrases"} and found["analogies"]["answered"][0]["answers"][0][0] == "queen"


def test_the_command_says_what_is_wrong(words, capsys):
    for options, message in (
        (["--analogy", "king:man"], "error: 'king:man' is no analogy"),
        (["--analogy", "king:man::rome:?"], "error: the model does not know 'rome'"),
        (["--what", "analogies"], "error: "),
        (["--phrases", "phrases.txt", "--pooling", "max"], "error: there is no pooling 'max'"),
        (["--phrases", "none.txt"], "error: there is no file 'none.txt'"),
    ):
        assert run("look", "words", *options) == 2
        assert message in capsys.readouterr().err


def test_views_that_are_asked_for_are_not_among_all_views():
    assert not {"analogies", "phrases"} & set(view_names("all"))
    assert view_names("phrases,gates") == ["gates", "phrases"]
    with pytest.raises(ConfigError):
        view_names("phrase")

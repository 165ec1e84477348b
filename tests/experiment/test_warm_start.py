"""Fine-tuning: what is taken from another run, what is new, and that a resumed run needs the start no more."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from unspool import Run, Trainer, cli
from unspool.data.tokenizer import tokenizers
from unspool.errors import CheckpointError, ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.experiment.warm_start import Start
from unspool.recipe import load_recipe
from unspool.runs.run import load_task
from unspool.training.log import records

WORDS = "the cat sat on a mat and the dog ran to a tree while birds sang of rain\n" * 40
QUICK = ["train.steps=3", "train.minutes=0", "train.epochs=0", "train.precision=float32", "train.threads=1"]
QUICK += ["evaluate.times=1", "sample.times=0", "train.schedule=constant", "train.warmup=0"]


def train(name, folder, *options):
    return list(Experiment.new(load_recipe(name, [*QUICK, *options]), folder))[-1].results


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A masked run, a causal one, a text and texts with labels."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "text.txt").write_text(WORDS)
    lines = [f"{'the cat sat' if n % 2 else 'a dog ran'} {'on a mat ' * (n % 3)},{n % 2}" for n in range(40)]
    (folder / "labels.csv").write_text("\n".join(["text,label", *lines]))
    here = [f"data.path={folder}/text.txt", "tokenizer.min_count=1", "task.length=8"]
    train("masked-lm", folder / "masked", *here, "core.width=16", "core.layers=1", "core.heads=2")
    here = [f"data.path={folder}/text.txt", "tokenizer.kind=word", "task.length=8"]
    train("char-lm", folder / "causal", *here, "core.width=16", "core.input_width=8")
    return folder


def begun(name, folder, *options):
    """The experiment before its first step, and what it starts with."""
    recipe = load_recipe(name, [*QUICK, *options])
    experiment = Experiment.new(recipe, folder)
    return experiment, Start.load(recipe["model"]["start"])


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name].cpu(), other[name].cpu()) for name in one)


def test_a_classifier_takes_embedding_core_and_tokenizer_and_its_head_is_new(place, tmp_path):
    options = [f"model.start={place}/masked", f"data.path={place}/labels.csv"]
    made, start = begun("fine-tune-classify", tmp_path / "run", *options)
    assert same(made.model.core.innermost, start.model.core)
    assert made.model.core is not made.model.core.innermost
    rows = made.task.preprocessor.tokenizer.size
    assert torch.equal(made.model.embedding.weight.cpu(), start.model.embedding.weight[:rows])
    assert len(start.model.embedding.weight) == rows + 1, "the mask stays behind"
    assert made.task.preprocessor.tokenizer.words == start.tokenizers["tokenizer"].words
    assert made.recipe["core"]["core"]["kind"] == "transformer" and made.recipe["core"]["width"] == 16
    assert made.recipe["tokenizer"]["punctuation"] is True
    assert made.started["new"] == ["head"]
    assert "core, embedding, with its tokenizer; new: head" in made.started["summary"]


def test_where_it_started_is_in_the_run_with_the_digest_of_the_weights(place, tmp_path):
    train("fine-tune-classify", tmp_path / "run", f"model.start={place}/masked", f"data.path={place}/labels.csv")
    assert f'start = "{place}/masked"' in (tmp_path / "run/recipe.toml").read_text()
    about = json.loads((tmp_path / "run/about.json").read_text())["start"]
    ((file, digest),) = about["sha256"].items()
    assert hashlib.sha256((place / "masked" / file).read_bytes()).hexdigest() == digest
    (manifest, *_) = (tmp_path / "run").glob("checkpoints/*/manifest.json")
    wanted = json.loads(manifest.read_text())["sha256"]["about.json"]
    assert hashlib.sha256((tmp_path / "run/about.json").read_bytes()).hexdigest() == wanted


def test_a_resumed_run_is_the_same_bit_for_bit_when_the_start_is_gone(place, tmp_path):
    shutil.copytree(place / "masked", tmp_path / "start")
    options = [f"model.start={tmp_path}/start", f"data.path={place}/labels.csv"]
    train("fine-tune-classify", tmp_path / "straight", *options, "train.steps=6")
    train("fine-tune-classify", tmp_path / "run", *options)
    shutil.rmtree(tmp_path / "start")
    list(Experiment.resume(tmp_path / "run", ["train.steps=6"]))
    straight, resumed = (Run.load(tmp_path / name, which="last") for name in ("straight", "run"))
    assert resumed.checkpoint.number == 6 and same(straight.model, resumed.model)
    losses = [[r["loss"] for r in records(tmp_path / name, "step")] for name in ("straight", "run")]
    assert losses[0] == losses[1] and len(losses[0]) == 6
    assert resumed.evaluate("valid")["valid/all/loss"] > 0


def test_a_language_model_goes_on_where_the_other_was(place, tmp_path):
    other = Run.load(place / "causal").evaluate("valid")["valid/windowed/loss"]
    options = [f"model.start={place}/causal", f"data.path={place}/text.txt", "task.length=8", "task.window=64"]
    results = train("fine-tune-lm", tmp_path / "run", *options, "train.steps=1", "train.learning_rate=1e-12")
    assert results["valid/windowed/loss"] == pytest.approx(other, abs=1e-5)
    made, start = begun("fine-tune-lm", tmp_path / "next", *options)
    assert same(made.model, start.model) and made.started["new"] == []
    assert made.recipe["core"]["input_width"] == 8 and made.started["summary"].endswith("new: nothing")


def test_a_run_of_another_task_goes_on_from_a_pooled_one_and_the_other_way_round(place, tmp_path):
    table = f"data.path={place}/labels.csv"
    train("fine-tune-classify", tmp_path / "pooled", f"model.start={place}/causal", table, "core.by=attention")
    text = f"data.path={place}/text.txt"
    pooled, inner = f"model.start={tmp_path}/pooled", 'core={kind="recurrent",width=16,input_width=8}'
    language, start = begun("fine-tune-lm", tmp_path / "a", pooled, text, inner)
    assert same(language.model.core, start.model.core.innermost) and language.started["new"] == ["head"]
    again, start = begun("fine-tune-classify", tmp_path / "b", pooled, table, "core.by=attention")
    assert same(again.model.core, start.model.core), "the pool's own weights too"
    other, _ = begun("fine-tune-classify", tmp_path / "c", pooled, table)
    assert same(other.model.core.innermost, start.model.core.innermost)


def test_hidden_words_and_next_words_have_one_head(place, tmp_path):
    options = [f"model.start={place}/causal", f"data.path={place}/text.txt", "task.length=8"]
    recipe = load_recipe("masked-lm", [*QUICK, *options])
    del recipe["core"]
    made, start = Experiment.new(recipe, tmp_path / "run"), Start.load(place / "causal")
    assert same(made.model.head, start.model.head)
    rows = len(start.model.embedding.weight)
    assert len(made.model.embedding.weight) == rows + 1
    assert torch.equal(made.model.embedding.weight[:rows].cpu(), start.model.embedding.weight)


WRONG = [  # recipe, options, what the error says, what the hint says
    ("fine-tune-classify", ["model.start=", "data.path=labels.csv"], "none is given", "model.start=FOLDER"),
    (
        "fine-tune-classify",
        ["model.start=nowhere", "data.path=labels.csv"],
        "nowhere, and nothing is downloaded",
        "save the model there",
    ),
    ("fine-tune-classify", ["model.start=labels.csv", "data.path=labels.csv"], "is a file", "folder"),
    ("sentiment", ["model.start=masked", "data.path=labels.csv"], "core.core.layers", "leave [core] out"),
    (
        "fine-tune-lm",
        ["model.start=causal", "data.path=text.txt", "core.width=24"],
        "64 x 8 there and 96 x 8",
        "leave",
    ),
    ("fine-tune-lm", ["model.start=masked", "data.path=text.txt"], "reads both ways", "bidirectional"),
    ("copy", ["model.start=causal"], "the task wants no text", "same sort"),
    ("char-lm", ["model.start=5"], "model.start should be a valid string", "model.start=VALUE"),
]


@pytest.mark.parametrize(("name", "options", "says", "hint"), WRONG)
def test_what_does_not_fit_is_refused_in_a_sentence(place, monkeypatch, capsys, tmp_path, name, options, says, hint):
    monkeypatch.chdir(place)
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", name, *QUICK, *options, "--run", str(tmp_path / "run")])
    error, *rest = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and error.startswith("error: ") and says in error
    assert rest[0].startswith("hint: ") and hint in rest[0]
    assert not (tmp_path / "run").exists()


def test_a_start_cannot_be_changed_when_a_run_is_resumed(place, tmp_path):
    with pytest.raises(ConfigError, match=r"cannot change model.start"):
        Experiment.resume(place / "masked", [f"model.start={place}/causal"])


def test_two_ends_of_different_weights_are_not_made_one(place, tmp_path):
    text = [f"data.path={place}/text.txt", "tokenizer.kind=word", "core.width=16", "core.input_width=16"]
    train("char-lm", tmp_path / "apart", *text)
    with pytest.raises(ConfigError, match="an embedding and a head with different weights"):
        begun("fine-tune-lm", tmp_path / "a", f"model.start={tmp_path}/apart", text[0], "model.tied=true")
    train("char-lm", tmp_path / "tied", *text, "model.tied=true")
    made, start = begun("fine-tune-lm", tmp_path / "b", f"model.start={tmp_path}/tied", text[0])
    assert made.model.head.weight is made.model.embedding.weight and same(made.model, start.model)


def test_what_is_frozen_stays_and_the_rest_learns(place, tmp_path):
    options = [f"model.start={place}/masked", f"data.path={place}/labels.csv", "train.freeze=core"]
    train("fine-tune-classify", tmp_path / "run", *options)
    run, start = Run.load(tmp_path / "run", which="last"), Start.load(place / "masked")
    assert same(run.model.core.innermost, start.model.core)
    rows = len(run.model.embedding.weight)
    assert not torch.equal(run.model.embedding.weight, start.model.embedding.weight[:rows])
    list(Experiment.resume(tmp_path / "run", ["train.steps=5"]))
    assert same(Run.load(tmp_path / "run", which="last").model.core.innermost, start.model.core)


def test_freezing_nothing_or_everything_is_refused(place):
    run = Run.load(place / "masked")
    model, task = run.model, load_task(run)
    with pytest.raises(ConfigError, match="unknown part of the model to freeze: 'cor'") as refused:
        Trainer(model, task.train_batches(), steps=1, freeze="cor")
    assert refused.value.hint == "did you mean 'core'?"
    model.head.requires_grad_(False)
    model.core.requires_grad_(False)
    with pytest.raises(ConfigError, match="leaves no weights to train"):
        Trainer(model, task.train_batches(), steps=1, freeze="embedding")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Folders of a GPT-2 and of a Llama as Hugging Face's library saves them, with a tokenizer of ours."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("hf")
    tokenizer = tokenizers.build("tokenizer", {"kind": "bpe", "vocabulary": 300}).fit(WORDS)
    torch.manual_seed(1)
    special = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    gpt2 = transformers.GPT2Config(vocab_size=304, n_positions=32, n_embd=16, n_layer=2, n_head=2, **special)
    llama = transformers.LlamaConfig(
        vocab_size=304, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, tie_word_embeddings=False, **special,
    )  # fmt: skip
    made = {"gpt2": transformers.GPT2LMHeadModel(gpt2), "llama": transformers.LlamaForCausalLM(llama)}
    for name, model in made.items():
        model.eval().save_pretrained(folder / name)
        tokenizer.engine.save(str(folder / name / "tokenizer.json"))
    return folder, made, tokenizer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_folder_of_hugging_face_is_fine_tuned(name, theirs, place, tmp_path):
    folder, models, tokenizer = theirs
    text = [f"model.start={folder}/{name}", f"data.path={place}/text.txt", "task.length=8"]
    made, start = begun("fine-tune-lm", tmp_path / "lm", *text)
    assert made.model.core.context == 32 and same(made.model.core, start.model.core)
    ids = torch.from_numpy(tokenizer.encode("the cat sat on a mat"))[None]
    made.model.cpu().eval()
    with torch.no_grad():
        ours, _ = made.model(ids, made.model.start(ids))
        torch.testing.assert_close(ours, models[name](ids).logits[..., : tokenizer.size], atol=1e-5, rtol=1e-5)
    assert made.recipe["model"]["tied"] is (name == "gpt2")
    assert list(made.started["sha256"]) == ["model.safetensors"]
    results = train(
        "fine-tune-classify", tmp_path / "c", f"model.start={folder}/{name}", f"data.path={place}/labels.csv"
    )
    assert 0 <= results["valid/all/accuracy"] <= 1


@pytest.mark.filterwarnings("ignore")
def test_a_folder_that_is_not_whole_or_not_ours_is_refused(theirs, tmp_path):
    folder, _, _ = theirs
    shutil.copytree(folder / "gpt2", tmp_path / "a")
    (tmp_path / "a/tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer.json"):
        Start.load(tmp_path / "a")
    engine = json.loads((folder / "gpt2/tokenizer.json").read_text())
    engine["pre_tokenizer"] = {"type": "Metaspace"}
    (tmp_path / "a/tokenizer.json").write_text(json.dumps(engine))
    with pytest.raises(ConfigError, match="not one of byte pairs"):
        Start.load(tmp_path / "a")
    (tmp_path / "a/model.safetensors").rename(tmp_path / "a/pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"has no model.safetensors") as refused:
        Start.load(tmp_path / "a")
    assert "pickle" in refused.value.hint
    Path(tmp_path / "a/config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(ConfigError, match="'t5', which cannot be read"):
        Start.load(tmp_path / "a")


def test_a_symbol_that_the_start_never_knew_is_told(place, tmp_path):
    train("char-lm", tmp_path / "chars", f"data.path={place}/text.txt", "core.width=8")
    (tmp_path / "other.txt").write_text("ÄÖÜ " * 200)
    with pytest.raises(DataError, match="does not know 'Ä'"):
        begun("fine-tune-lm", tmp_path / "run", f"model.start={tmp_path}/chars", f"data.path={tmp_path}/other.txt")

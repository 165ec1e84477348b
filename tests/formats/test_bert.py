"""BERT and DistilBERT of Hugging Face: read with equal outputs, fine-tuned, and written back with equal outputs."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from unspool import Run, SequenceModel, Tokens, cli, cores, embedding, head
from unspool.data.preprocessors.language import LanguageText, MaskedText
from unspool.data.preprocessors.text import LabelledText
from unspool.data.tokenizer import tokenizers
from unspool.errors import CheckpointError, ConfigError
from unspool.experiment.experiment import Experiment
from unspool.experiment.warm_start import Start
from unspool.formats.bert import bert_config, bert_options, distilbert_options
from unspool.formats.export import write_folder
from unspool.formats.folder import read_folder
from unspool.recipe import load_recipe
from unspool.schema import defaults

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's
TEXT = "the cat sat on a mat and the naïve dog ran to a tree while birds sang of rain, didn't they?\n" * 40
QUICK = ["train.precision=float32", "train.threads=1", "evaluate.times=1", "train.epochs=0", "train.min_steps=0"]
SIZE = 100
NAMES = ("bert", "distilbert")
by_name = pytest.mark.parametrize("name", NAMES)


def made(name, head="MaskedLM", size=SIZE, **more):
    """A small random model of theirs, whose norms and biases matter."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    if name == "bert":
        sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
        config = transformers.BertConfig(vocab_size=size, max_position_embeddings=64, **sizes, **more)
    else:
        sizes = {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48}
        config = transformers.DistilBertConfig(vocab_size=size, max_position_embeddings=64, **sizes, **more)
    prefix = {"bert": "Bert", "distilbert": "DistilBert"}[name]
    model = getattr(transformers, f"{prefix}{'Model' if head is None else f'For{head}'}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@pytest.fixture(scope="module")
def words():
    tokenizer = tokenizers.build("tokenizer", {"kind": "wordpiece", "vocabulary": SIZE}).fit(TEXT)
    tokenizer.know([*tokenizer.words, *(f"[unused{n}]" for n in range(SIZE - tokenizer.size))])
    return tokenizer


@pytest.fixture(scope="module")
def place(tmp_path_factory, words):
    """A folder for each, model and tokenizer as their library saves them, and texts with labels."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    (folder / "plain").mkdir()
    (folder / "plain/vocab.txt").write_text("".join(f"{word}\n" for word in words.words))
    for name in NAMES:
        made(name, size=words.size).save_pretrained(folder / name)
        transformers.BertTokenizer.from_pretrained(folder / "plain").save_pretrained(folder / name)
    lines = [
        f"{'the cat sat' if n % 2 else 'a dog ran'} {'on a mat ' * (n % 3)},{'yes' if n % 2 else 'no'}"
        for n in range(80)
    ]
    (folder / "labels.csv").write_text("\n".join(["text,label", *lines]))
    (folder / "text.txt").write_text(TEXT)
    return folder


def padded(size, rows=3, time=50):
    ids, mask = torch.randint(5, size, (rows, time)), torch.ones(rows, time, dtype=torch.bool)
    mask[1, 30:], mask[2, 7:] = False, False
    return ids, mask


@by_name
@torch.no_grad()
def test_hidden_states_and_logits_are_the_same(name, place):
    found, other = read_folder(place / name), made(name)
    model = found.model.eval()
    ids, mask = padded(found.tokenizer.size)
    wanted = other(ids, attention_mask=mask.long(), output_hidden_states=True)
    hidden, _ = model.hidden_states(ids, model.start(ids), mask)
    logits, _ = model(ids, model.start(ids), mask)
    torch.testing.assert_close(hidden[mask], wanted.hidden_states[-1][mask], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits[mask], wanted.logits[mask], atol=1e-5, rtol=1e-5)
    assert wanted.logits.std() > 0.5, "weights that matter"
    assert found.recipe["task"]["kind"] == "masked" and found.recipe["model"] == {"tied": True, "transform": "gelu"}
    assert list(found.digests) == ["model.safetensors"]


@by_name
@pytest.mark.parametrize("kind", [None, "SequenceClassification"])
@torch.no_grad()
def test_of_another_model_the_encoder_is_read(name, kind, place, tmp_path):
    shutil.copytree(place / name, tmp_path / "a")
    other = made(name, kind)
    other.save_pretrained(tmp_path / "a")
    found = read_folder(tmp_path / "a")
    assert found.recipe["task"]["kind"] == "classify" and found.recipe["model"]["transform"] == "none"
    ids, mask = padded(found.tokenizer.size)
    hidden, _ = found.model.eval().hidden_states(ids, found.model.start(ids), mask)
    wanted = getattr(other, other.base_model_prefix, other) if kind else other
    wanted = wanted(ids, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(hidden[mask], wanted[mask], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_names_of_old_and_other_epsilons(place, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(place / "bert", tmp_path / "old")
    weights = load_file(tmp_path / "old/model.safetensors")
    older = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in weights.items()
    }
    save_file(older, tmp_path / "old/model.safetensors")
    one, other = read_folder(place / "bert").model.state_dict(), read_folder(tmp_path / "old").model.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    made("bert", layer_norm_eps=1e-3).save_pretrained(tmp_path / "old")
    found = read_folder(tmp_path / "old")
    assert found.recipe["core"]["epsilon"] == 1e-3 and found.recipe["task"]["kind"] == "classify", "no head"


def test_the_tokens_are_theirs(place, words):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(place / "bert")
    ours = read_folder(place / "bert").tokenizer
    assert ours.words == words.words
    for text in ("The cat, NAÏVE!", "didn't\n they\tran", "字 rain", ""):
        first, last = ours.frame
        assert [first, *ours.encode(text).tolist(), last] == theirs(text)["input_ids"]
    assert ours.mask == theirs.mask_token_id


def test_a_folder_with_vocab_txt_alone(place, tmp_path, words):
    shutil.copytree(place / "bert", tmp_path / "a")
    (tmp_path / "a/tokenizer.json").unlink()
    (tmp_path / "a/tokenizer_config.json").write_text('{"do_lower_case": false}')
    (tmp_path / "a/vocab.txt").write_text((place / "plain/vocab.txt").read_text())
    ours = read_folder(tmp_path / "a").tokenizer
    assert ours.words == words.words and ours.lower is False and ours.normalized("Ä b") == "Ä b"


def tuned(place, name, folder, *options):
    recipe = load_recipe(
        "fine-tune-bert",
        [*QUICK, f"model.start={place / name}", f"data.path={place}/labels.csv", "train.steps=60", *options],
    )
    return list(Experiment.new(recipe, folder))[-1].results


@by_name
def test_fine_tuned_for_classification_and_written_back(name, place, tmp_path, capsys):
    transformers = pytest.importorskip("transformers")
    results = tuned(place, name, tmp_path / "run", "train.learning_rate=0.002", "task.batch_size=16")
    assert results["valid/all/accuracy"] == 1.0
    run = Run.load(tmp_path / "run")
    texts = ["the cat sat on a mat", "a dog ran", "didn't the dog, the cat?"]
    ours = list(run.predict(texts))
    assert [one.label for one in ours[:2]] == ["yes", "no"]
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", str(tmp_path / "run"), str(tmp_path / "back"), "--json"])
    assert stop.value.code == 0 and "BertForSequenceClassification" in capsys.readouterr().out
    model, info = transformers.BertForSequenceClassification.from_pretrained(
        tmp_path / "back", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    batch = transformers.AutoTokenizer.from_pretrained(tmp_path / "back")(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        theirs = model.eval()(**batch).logits
    wanted = torch.tensor([[one.scores[model.config.id2label[id]] for id in range(2)] for one in ours])
    torch.testing.assert_close(theirs.softmax(dim=-1), wanted.float(), atol=1e-5, rtol=1e-5)
    rows = [run.preprocessor.encode({"text": text}) for text in texts]
    inputs = run.preprocessor.collate(rows)
    with torch.no_grad():
        logits, _ = run.model.eval()(inputs.inputs, run.model.start(inputs.inputs), inputs.mask)
    torch.testing.assert_close(theirs, logits[:, 0], atol=1e-5, rtol=1e-5)
    assert read_folder(tmp_path / "back").recipe["task"]["kind"] == "classify"


@by_name
def test_a_classifier_begins_with_the_encoder_and_a_new_pooler(name, place, tmp_path):
    recipe = load_recipe("fine-tune-bert", [f"model.start={place / name}", f"data.path={place}/labels.csv"])
    experiment, start = Experiment.new(recipe, tmp_path / "run"), Start.load(place / name)
    one, other = experiment.model.core.innermost.state_dict(), start.model.core.state_dict()
    assert all(torch.equal(value.cpu(), other[key]) for key, value in one.items()) and one.keys() == other.keys()
    assert experiment.started["new"] == ["core.project", "head"]
    assert experiment.recipe["core"]["core"]["dropout"] == 0.1
    first, last = start.tokenizers["tokenizer"].frame
    rows = experiment.task.train_batches()[0]
    assert (rows.inputs[:, 0] == first).all() and (rows.inputs[rows.loss_mask] == last).all()


def test_masked_training_goes_on_with_their_mask_and_head(place, tmp_path):
    transformers = pytest.importorskip("transformers")
    options = [f"model.start={place}/bert", f"data.path={place}/text.txt", "train.steps=3", "task.length=16"]
    recipe = load_recipe("masked-lm", [*QUICK, *options])
    for section in ("core", "tokenizer"):
        del recipe[section]
    experiment, start = Experiment.new(recipe, tmp_path / "run"), Start.load(place / "bert")
    assert experiment.started["new"] == []
    batch = experiment.task.train_batches()[0]
    mask = start.tokenizers["tokenizer"].mask
    assert 0 < (batch.inputs == mask).sum() < batch.loss_mask.sum()
    list(experiment)
    run = Run.load(tmp_path / "run")
    assert write_folder(run, tmp_path / "back") == "BertForMaskedLM"
    model = transformers.BertForMaskedLM.from_pretrained(tmp_path / "back").eval()
    ids, there = padded(run.model.embedding.weight.shape[0])
    with torch.no_grad():
        ours, _ = run.model.eval()(ids, run.model.start(ids), there)
        wanted = model(ids, attention_mask=there.long()).logits
    torch.testing.assert_close(ours[there], wanted[there], atol=1e-5, rtol=1e-5)
    (fill,) = run.predict(["the cat sat ___ a mat"])
    assert "___" not in fill.text


def small(words, preprocessor=None, **options):
    core = cores.build("core", {**bert_options(SIZES), **options})
    symbols = Tokens(words.size)
    model = SequenceModel(embedding(symbols, core.input_width), core, head(symbols, core.width))
    return Run(model.eval(), preprocessor or MaskedText(words))


SIZES = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 32, "hidden_act": "relu",
}  # fmt: skip


@torch.no_grad()
def test_without_a_head_of_theirs_the_encoder_is_written(words, tmp_path):
    transformers = pytest.importorskip("transformers")
    run = small(words)
    assert write_folder(run, tmp_path / "a") == "BertModel"
    model = transformers.BertModel.from_pretrained(tmp_path / "a").eval()
    ids, mask = padded(words.size, time=31)
    ours, _ = run.model.hidden_states(ids, run.model.start(ids), mask)
    theirs = model(ids, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(ours[mask], theirs[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"positions": "rotary"}, "core.positions is 'rotary', and BERT's is 'learned'"),
        ({"causal": True}, "core.causal is True"),
        ({"window": 4}, "core.window is 4"),
        ({"kv_heads": 1}, "core.kv_heads is 1"),
        ({"feed_forward": "swiglu"}, "'swiglu', which has no counterpart"),
        ({"query_key_norm": True}, "core.query_key_norm is True"),
        ({"embedding_norm": False}, "core.embedding_norm is False"),
    ],
)
def test_what_bert_cannot_have_is_not_written(words, tmp_path, options, says):
    with pytest.raises(ConfigError, match=says):
        write_folder(small(words, **options), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_other_things_that_are_not_written(words, tmp_path):
    chars = tokenizers.build("tokenizer", "char").fit(TEXT)
    with pytest.raises(ConfigError, match="only a WordPiece"):
        write_folder(small(chars, LanguageText(chars), feed_width=0), tmp_path / "a")
    core = cores.build("core", {"kind": "recurrent"}, width=8)
    symbols = Tokens(words.size)
    recurrent = Run(SequenceModel(embedding(symbols, 8), core, head(symbols, 8)), MaskedText(words))
    with pytest.raises(ConfigError, match="'recurrent' cannot be written"):
        write_folder(recurrent, tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/mine").write_text("precious")
    with pytest.raises(ConfigError, match="holds something"):
        write_folder(small(words), tmp_path / "b")
    labels = tokenizers.build("labels", "label").fit("a\nb\n")
    shown = LabelledText(words, labels, mask_padding=False)
    run = small(words)
    model = SequenceModel(embedding(Tokens(words.size + 1), 8), run.model.core, head(Tokens(2), 8))
    with pytest.raises(ConfigError, match="the model reads"):
        write_folder(Run(model, shown), tmp_path / "a")


def test_options_and_config_undo_each_other():
    core = defaults(cores.find("transformer")) | bert_options(SIZES)
    config = bert_config(core, 40)
    assert config["vocab_size"] == 40 and {key: config[key] for key in SIZES} == SIZES
    assert bert_options(config) == bert_options(SIZES)
    theirs = {"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": 32}
    assert distilbert_options(theirs | {"activation": "relu"}) == bert_options(SIZES)


def config_with(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def rewritten(folder, name, change):
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))


def without_mask(tokenizer):
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["other"] = vocabulary.pop("[MASK]")
    tokenizer["added_tokens"] = []


MALFORMED = {
    "a name that is none": (
        lambda f: (f / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "x" * 999}})),
        "no file of the folder",
        "again",
    ),
    "no weights": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "has no model.safetensors",
        "pickle",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no vocab.txt and no tokenizer.json", "save"),
    "other architecture": (lambda f: config_with(f, model_type="t5"), "is a 't5'", "distilbert"),
    "no architecture": (lambda f: config_with(f, model_type=["bert"]), "which cannot be read", "bert"),
    "relative positions": (lambda f: config_with(f, position_embedding_type="relative"), "relative", "absolute"),
    "a decoder": (lambda f: config_with(f, is_decoder=True), "is_decoder", "False"),
    "strange activation": (lambda f: config_with(f, hidden_act="mish"), "'mish'", "gelu"),
    "a size missing": (lambda f: rewritten(f, "config.json", lambda c: c.pop("hidden_size")), "no whole bert", "again"),
    "shapes disagree": (lambda f: config_with(f, hidden_size=16), "no whole bert", "again"),
    "layers missing": (lambda f: config_with(f, num_hidden_layers=5), "no whole bert", "again"),
    "heads do not divide": (lambda f: config_with(f, num_attention_heads=5), "32 cannot be cut in 5 heads", "divide"),
    "truncated": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:500]),
        "not a whole safetensors",
        "restore",
    ),
    "byte pairs": (
        lambda f: rewritten(f, "tokenizer.json", lambda t: t["model"].update(type="BPE")),
        "not quite BERT's",
        "WordPiece",
    ),
    "another normalizer": (
        lambda f: rewritten(f, "tokenizer.json", lambda t: t.update(normalizer={"type": "NFC"})),
        "not quite BERT's",
        "BertNormalizer",
    ),
    "no mask": (lambda f: rewritten(f, "tokenizer.json", without_mask), r"\[MASK\] is missing", "again"),
    "ids with a hole": (
        lambda f: rewritten(f, "tokenizer.json", lambda t: t["model"]["vocab"].pop("the")),
        "is not numbered",
        "again",
    ),
    "tokens beyond the vocabulary": (
        lambda f: rewritten(f, "tokenizer.json", lambda t: t["added_tokens"].append({"id": 900, "content": "<mine>"})),
        "not quite BERT's",
        "'<mine>' should be in the vocabulary",
    ),
    "more tokens than the model": (
        lambda f: rewritten(f, "tokenizer.json", lambda t: t["model"]["vocab"].update(extra=len(t["model"]["vocab"]))),
        "has 101 tokens and the model 100",
        "copy both",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_folder_is_refused_in_a_sentence(case, place, tmp_path):
    damage, says, hint = MALFORMED[case]
    shutil.copytree(place / "bert", tmp_path / "a")
    (tmp_path / "a/vocab.txt").unlink(missing_ok=True)
    damage(Path(tmp_path / "a"))
    with pytest.raises((CheckpointError, ConfigError), match=says) as refused:
        Start.load(tmp_path / "a")
    assert hint in refused.value.hint and "\n" not in str(refused.value)

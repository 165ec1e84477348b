"""A model that was trained with one's own loop becomes a run: saved, loaded, it writes and predicts the same."""

import pytest
import torch

from unspool import Run, SequenceModel, Tokens, cores, embedding, head, tokenizers
from unspool.data.preprocessors.text import LabelledText
from unspool.errors import CheckpointError, ConfigError
from unspool.generate.sampling import Sampling

TEXT = "the cat sat on the mat.\n" * 50


@pytest.fixture(scope="module", params=["recurrent", "transformer"])
def trained(request):
    """A model after some steps of a loop without `Trainer`, and its tokenizer."""
    torch.manual_seed(0)
    tokenizer = tokenizers.build("tokenizer", "char").fit(TEXT)
    size, options = tokenizer.size, {"kind": request.param}
    core = cores.build("core", options, width=16)
    model = SequenceModel(embedding(Tokens(size), 16), core, head(Tokens(size), 16))
    ids = torch.from_numpy(tokenizer.encode(TEXT)).long()
    rows = ids[: len(ids) // 33 * 33].view(-1, 33)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(30):
        logits, _ = model(rows[:, :-1], model.start(rows[:, :-1]))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 2.0
    return model.eval(), tokenizer


def text(run, **options):
    return "".join(run.stream("the ", length=60, seed=3, **options))


def test_a_saved_run_writes_the_same_text(trained, tmp_path):
    run = Run(*trained)
    saved = run.save(tmp_path / "run")
    loaded = Run.load(tmp_path / "run")
    assert text(run) == text(saved) == text(loaded)
    cold = Sampling(temperature=0.0)
    assert text(run, sampling=cold) == text(loaded, sampling=cold)
    same = zip(run.model.state_dict().values(), loaded.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in same)
    with pytest.raises(CheckpointError, match="already holds a run"):
        run.save(tmp_path / "run")


def test_a_run_that_is_not_saved_has_no_data(trained):
    with pytest.raises(CheckpointError, match="has no data"):
        Run(*trained).evaluate()


def test_a_classifier_of_ones_own_predicts_the_same_when_it_was_saved(tmp_path):
    torch.manual_seed(0)
    tokenizer = tokenizers.build("tokenizer", "word").fit("good fine bad poor film\n" * 3)
    labels = tokenizers.build("labels", "label").fit("neg\npos\n")
    preprocessor = LabelledText(tokenizer, labels, max_length=8)
    core = cores.build("core", {"kind": "recurrent", "cell": "gru"}, width=8)
    model = SequenceModel(embedding(preprocessor.inputs, 8), core, head(preprocessor.targets, 8)).eval()
    run = Run(model, preprocessor, {"seed": 0, "task": {"kind": "classify"}, "core": dict(core.built_from)})
    run.save(tmp_path / "run")
    texts = ["a good film", "bad", "fine " * 20]
    one, other = (list(some.predict(texts)) for some in (run, Run.load(tmp_path / "run")))
    assert one == other and {prediction.label for prediction in one} <= {"neg", "pos"}


def test_a_core_that_was_not_built_by_name_is_refused(trained):
    model, tokenizer = trained
    options = model.core.built_from
    del model.core.built_from
    try:
        with pytest.raises(ConfigError, match="no recipe for this model"):
            Run(model, tokenizer)
    finally:
        model.core.built_from = options

"""Ours = Hugging Face's: the same weights give the same logits and the same text."""

from itertools import islice

import pytest
import torch

from unspool import Tokens, cores, embedding, head, sample_tokens
from unspool.errors import ConfigError
from unspool.formats import huggingface as hf
from unspool.generate.sampling import greedy
from unspool.models.sequence import SequenceModel

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's
SIZE = 61


def theirs(name):
    transformers = pytest.importorskip("transformers")  # here, as it takes a second to import
    torch.manual_seed(1)
    special = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if name == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=SIZE, n_positions=64, n_embd=32, n_layer=3, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
            initializer_range=0.2, **special,
        )  # fmt: skip
        return transformers.GPT2LMHeadModel(config).eval()
    config = transformers.LlamaConfig(
        vocab_size=SIZE, hidden_size=32, intermediate_size=72, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, initializer_range=0.2,
        rope_theta=500_000.0, **special,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def both(name):
    other = theirs(name)
    options, convert = hf.FROM_HF[name]
    core = cores.build("core", options(other.config.to_dict()))
    ours = SequenceModel(embedding(Tokens(SIZE), core.input_width), core, head(Tokens(SIZE), core.width)).eval()
    with torch.no_grad():  # norms and biases that matter
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    ours.load_state_dict(convert(other.state_dict()))
    return ours, other


@pytest.mark.parametrize("name", hf.FROM_HF)
@torch.no_grad()
def test_the_logits_are_the_same(name):
    ours, other = both(name)
    ids = torch.randint(SIZE, (3, 50))
    mine, _ = ours(ids, ours.start(ids))
    torch.testing.assert_close(mine, other(ids).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", hf.FROM_HF)
@torch.no_grad()
def test_the_greedy_text_is_the_same(name):
    ours, other = both(name)
    prompt = torch.randint(SIZE, (2, 7))
    printed = other.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False, pad_token_id=0
    )[:, 7:]
    assert torch.equal(torch.cat([d.ids for d in islice(sample_tokens(ours, prompt, greedy), 20)], dim=1), printed)


@pytest.mark.parametrize("name", hf.FROM_HF)
@torch.no_grad()
def test_weights_come_back_as_they_went(name):
    ours, other = both(name)
    back = (hf.gpt2_to_hf if name == "gpt2" else hf.llama_to_hf)(ours.state_dict())
    wanted = other.state_dict()
    assert back.keys() == wanted.keys()
    assert all(torch.equal(back[key], wanted[key]) for key in wanted)


@torch.no_grad()
def test_a_bias_that_they_cannot_have_is_refused():
    ours, _ = both("llama")
    ours.head.bias.add_(1)
    with pytest.raises(ConfigError, match="bias"):
        hf.llama_to_hf(ours.state_dict())
    with pytest.raises(ConfigError, match="rope_type"):
        hf.llama_options({**theirs("llama").config.to_dict(), "rope_parameters": {"rope_type": "yarn"}})

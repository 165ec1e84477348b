"""A writing page over a small run, for tests of its endpoints and in a browser."""

import threading
from functools import cache

import torch

from helpers.models import small
from unspool import Tokens
from unspool.data.tokenizer import Tokenizer, tokenizers
from unspool.generate.engine import Engine
from unspool.runs.run import Run
from unspool.serve.activity import places_of
from unspool.serve.document import Document

TEXT = "the cat sat on the mat, and a good cat is at home.\nA bad cat is gone!\n"
CORES = {
    "lstm": {"kind": "recurrent", "cell": "lstm"},
    "gru": {"kind": "recurrent", "cell": "gru", "layers": 2},
    "mingru": {"kind": "blocks", "cell": "mingru", "convolution": 4},
    "transformer": {"kind": "transformer", "heads": 2, "layers": 2, "context": 64},
}


def tokenizer_of(kind: str) -> Tokenizer:
    options = {"word": {"punctuation": True}, "bpe": {"vocabulary": 270}}.get(kind, {})
    return tokenizers.build("tokenizer", {"kind": kind, **options}).fit(
        TEXT + "Tell me, O muse: X 2/4 [|] KLMBGcdrxw:18"
    )


@cache
def run_of(core: str = "lstm", kind: str = "char") -> Run:
    tokenizer = tokenizer_of(kind)
    model = small(CORES[core], Tokens(tokenizer.size), width=16)
    return Run(model, tokenizer, name=f"a small {core}")


def document_of(core: str = "lstm", kind: str = "char") -> Document:
    run = run_of(core, kind)
    engine = Engine(run.model)
    places = places_of(engine, engine.read(torch.zeros(1, 1, dtype=torch.long)))
    return Document(engine, run.tokenizer, places, threading.Lock())

"""A model whose every chance is known, for tests of suggestions."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from unspool import cli
from unspool.models.sequence import SequenceModel

WEIGHTS = {
    "The power on The": 2, "The power. The": 2, "The pow on The": 3, "The powder on The": 2, "The dog on The": 1
}  # fmt: skip
CHANCES = {"power": 0.4, "pow": 0.3, "powder": 0.2, "dog": 0.1}
KINDS = {
    "char": {"kind": "char"},
    "byte": {"kind": "byte"},
    "word": {"kind": "word", "punctuation": True},
    "bpe": {"kind": "bpe", "vocabulary": 264},
}


class Known(SequenceModel):
    """Says what comes next as often as the sentences do, each begun anew with every "The"; it remembers all ids."""

    def __init__(self, tokenizer):
        nn.Module.__init__(self)
        self.size = tokenizer.size
        self.rows = {tuple(tokenizer.encode(text).tolist()): weight for text, weight in WEIGHTS.items()}
        self.begins = [tokenizer.encode("The").tolist(), tokenizer.encode(" The").tolist()]
        self.core = SimpleNamespace(causal=True, max_length=None, start=self.begin)
        self.embedding = self.head = nn.Identity()
        self.anywhere = nn.Parameter(torch.zeros(1))

    def begin(self, like, source=None, source_mask=None):
        return (like[:, :0],)

    def chances(self, read):
        said = ()
        for begin in self.begins:  # the last of them
            places = [n for n in range(len(read)) if read[n : n + len(begin)] == begin]
            if places and (not said or len(read) - places[-1] < len(said)):
                said = (*self.begins[0], *read[places[-1] + len(begin) :])
        next_ones = torch.full((self.size,), 1e-9)
        for row, weight in self.rows.items():
            if row[: len(said)] == said and len(row) > len(said):
                next_ones[row[len(said)]] += weight
        return (next_ones / next_ones.sum()).log()

    def hidden_states(self, ids, state):
        read = torch.cat([state[0], ids], dim=1)
        last = torch.stack([self.chances(row) for row in read.tolist()])
        return last.unsqueeze(1).expand(-1, ids.shape[1], -1), (read,)


def printed(*words):
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    return stop.value.code or 0

"""The model around a core: its dropout and its loss."""

import torch

from helpers.models import gru
from unspool.batch import Batch, Tokens
from unspool.models.sequence import Encoder, SequenceModel
from unspool.nn.embeddings import embedding

B, V = 4, 7


def test_a_models_dropout_acts_before_and_behind_the_core_and_is_off_when_judged():
    dropped, plain = gru(dropout=0.5), gru()
    ids = torch.randint(V, (B, 40))
    went_in = []
    dropped.core.register_forward_pre_hook(lambda _, given: went_in.append(given[0]))
    came_out, _ = dropped.train().hidden_states(ids, dropped.start(ids))
    assert 0.3 < (went_in[0] == 0).float().mean() < 0.7
    assert 0.3 < (came_out == 0).float().mean() < 0.7
    torch.testing.assert_close(dropped.eval()(ids, plain.start(ids))[0], plain(ids, plain.start(ids))[0])


def test_the_loss_of_a_padded_row_is_that_of_the_row_alone():
    made, ids, there = (
        gru(),
        torch.randint(V, (1, 8)),
        torch.tensor([[0, 0, 1, 1, 0, 1, 1, 1]]).bool(),
    )
    targets = ids.roll(1, 1)
    alone = Batch(ids[there][None], targets[there][None], torch.ones(1, 5).bool())
    torch.testing.assert_close(made.loss(Batch(ids, targets, there, there))[0], made.loss(alone)[0])


def test_the_range_of_the_first_weights_holds_for_the_embedding_of_a_source_too():
    plain = gru()
    encoder = Encoder(embedding(Tokens(V), plain.core.input_width), gru().core)
    made = SequenceModel(plain.embedding, plain.core, plain.head, encoder, init_range=0.02)
    for weight in (made.embedding.weight, made.head.weight, made.encoder.embedding.weight):
        assert 0.01 < weight.abs().max() <= 0.02

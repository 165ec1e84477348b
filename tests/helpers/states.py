"""States of every core that can be streamed, and what follows them: for a test and the other process that it starts."""

from dataclasses import replace
from itertools import islice

import torch

from unspool import Sampling
from unspool.checks.cases import Case
from unspool.generate.engine import Engine
from unspool.generate.sampling import sampler
from unspool.generate.state import model_fingerprint

MORE = 40  # tokens: beyond the end of every limited cache


def engine_of(case: Case) -> Engine:
    model = case.model()
    return Engine(model, model_fingerprint(model))


def begin(case, engine, time=9, seed=2):
    """A state of one row after some tokens, and its source."""
    looks = case.source_of([0])
    return replace(engine.read(case.ids(rows=1, time=time, seed=seed), **looks), seed=5), looks


def go_on(engine, state, number=MORE):
    """The ids that follow a state, and the logits behind them."""
    steps = engine.steps(state, sampler(state, Sampling(temperature=0.8, repetition_penalty=1.2)))
    ids = torch.cat([step.ids for step in islice(steps, number)], dim=1)
    return ids, steps.state.logits

"""The choice of precision and threads is that of steps on a quiet machine, whatever the first pass takes."""

import subprocess
import sys
from itertools import count

import pytest
import torch

from unspool.batch import Tokens
from unspool.data.batching.contiguous import ContiguousBatches
from unspool.models.sequence import SequenceModel
from unspool.nn.core import cores
from unspool.nn.embeddings import embedding
from unspool.nn.heads import head
from unspool.training import precision
from unspool.training.precision import choose, has_bfloat16
from unspool.training.threads import FIRST_PAUSE, WINDOW, ThreadControl, TorchThreads

F1, B1, F2, B2 = ("float32", 1), ("bfloat16", 1), ("float32", 2), ("bfloat16", 2)


class Clock:
    """Stands for `_time`: what a pass of a setting takes. The first one of each compiles, some are disturbed."""

    def __init__(self, seconds, first=0.5, disturbed=()):
        self.seconds, self.first, self.disturbed = seconds, first, disturbed
        self.passes, self.number = {}, count()

    def __call__(self, model, batch, device, name, threads):
        setting = (name, threads)
        self.passes[setting] = self.passes.get(setting, 0) + 1
        self.shape = batch.inputs.shape
        disturbed = next(self.number) in self.disturbed
        return self.first if self.passes[setting] == 1 else self.seconds[setting] * (30 if disturbed else 1)


@pytest.fixture
def chosen(monkeypatch):
    def choose_by(clock, batches=None, bfloat16=True, counts=(1, 2), **options):
        monkeypatch.setattr(precision, "_time", clock)
        monkeypatch.setattr(precision, "has_bfloat16", lambda device: bfloat16)
        monkeypatch.setattr(precision, "_thread_counts", lambda device: list(counts))
        core = cores.build("core", {"kind": "recurrent", "cell": "elman"}, width=4)
        model = SequenceModel(embedding(Tokens(5), 4), core, head(Tokens(5), 4))
        batches = batches or ContiguousBatches(torch.zeros(100, dtype=torch.long), 2, 5)
        return choose(model, batches, "cpu", **options)

    return choose_by


def test_compiling_is_not_counted(chosen):
    """The fault: float32's first pass compiled for half a second, and bfloat16 was chosen, fifteen times slower."""
    choice = chosen(Clock({F1: 0.005, B1: 0.077, F2: 0.005, B2: 0.077}))
    assert (choice.precision, choice.threads) == ("float32", 1)
    assert choice.seconds_per_position == 0.005 / 10


def test_a_moment_in_which_another_process_runs_is_not_counted(chosen):
    choice = chosen(Clock({F1: 0.02, B1: 0.01, F2: 0.02, B2: 0.01}, disturbed={2, 3, 5, 7, 9}))
    assert (choice.precision, choice.threads) == ("bfloat16", 1)


def test_bfloat16_is_not_tried_without_hardware_for_it(chosen):
    clock = Clock({F1: 0.02, F2: 0.02})
    assert chosen(clock, bfloat16=False).precision == "float32"
    assert set(clock.passes) == {F1, F2}


def test_threads_are_tried_only_for_large_steps_and_taken_only_when_they_pay(chosen):
    small = Clock({F1: 0.003, F2: 0.001})
    assert chosen(small, bfloat16=False).threads == 1 and set(small.passes) == {F1}
    assert chosen(Clock({F1: 0.02, F2: 0.017}), bfloat16=False).threads == 1
    assert chosen(Clock({F1: 0.02, F2: 0.012}), bfloat16=False).threads == 2


def test_the_next_training_of_a_process_tries_as_many_threads_as_the_first(monkeypatch):
    """The fault: a training on one thread left torch with one, so that the next one never tried two."""
    set_ = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: set_[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda number: set_.__setitem__(0, number))
    threads = TorchThreads()
    threads.use(1)
    assert (set_, threads.allowed()) == ([1], 4)
    threads.use(2)
    assert (set_, threads.allowed()) == ([2], 4)
    torch.set_num_threads(3)  # somebody else's wish counts
    assert threads.allowed() == 3
    threads.use(3)
    assert (set_, threads.allowed()) == ([3], 3)


def test_a_hopeless_setting_is_timed_once(chosen):
    clock = Clock({F1: 0.003, B1: 0.9})
    assert chosen(clock).precision == "float32"
    assert clock.passes[B1] == 2  # the one that does not count, and one


def test_the_batch_of_median_length_is_timed(chosen):
    class Lengths(ContiguousBatches):
        def __getitem__(self, number):
            return ContiguousBatches(torch.zeros(2000, dtype=torch.long), 2, (90, 5, 6, 7, 8, 9, 10, 80, 11)[number])[0]

    clock = Clock({F1: 0.02, F2: 0.03})
    chosen(clock, Lengths(torch.zeros(100, dtype=torch.long), 2, 5), bfloat16=False)
    assert clock.shape == (2, 9)


def test_what_the_recipe_fixes_is_not_measured(chosen):
    choice = chosen(Clock({}), precision="bfloat16", threads=2)
    assert (choice.precision, choice.threads, choice.seconds_per_position) == ("bfloat16", 2, None)


@pytest.mark.parametrize(
    ("capability", "capabilities", "has"),
    [
        ("AVX2", {"avx2": True}, False),
        ("AVX512", {"avx512_f": True, "avx512_bf16": False}, False),
        ("AVX512", {"avx512_bf16": True}, True),
        ("AVX512", {"amx_bf16": True}, True),
        ("AVX2", {"avx512_bf16": True}, False),  # ATEN_CPU_CAPABILITY=avx2
    ],
)
def test_which_processors_have_bfloat16(monkeypatch, capability, capabilities, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert has_bfloat16("cpu") is has


def test_a_busy_machine_gets_one_thread_and_a_quiet_one_several_again():
    control = ThreadControl(2, 0.001)
    assert {control.after(0.001) for _ in range(50)} == {2}
    assert control.after(0.1) == 2  # one slow step is none
    assert [control.after(0.001) for _ in range(WINDOW)] == [2] * WINDOW
    assert [control.after(0.03) for _ in range(3)] == [2, 2, 1]  # the median of the last five
    waited = [control.after(0.002) for _ in range(FIRST_PAUSE)]
    assert waited == [1] * (FIRST_PAUSE - 1) + [2]
    assert [control.after(0.03) for _ in range(WINDOW)] == [2] * (WINDOW - 1) + [1]
    waited = [control.after(0.002) for _ in range(2 * FIRST_PAUSE)]
    assert waited == [1] * (2 * FIRST_PAUSE - 1) + [2]  # in vain: twice the pause
    assert {control.after(0.001) for _ in range(200)} == {2}  # quiet again


MANY_LENGTHS = """
import torch
from unspool.training.memory import peak_memory
from unspool.training.precision import autocast
torch.set_num_threads(1)
net = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.GELU(), torch.nn.Linear(256, 300))
for length in range(17, 17 + 3 * 300, 3):
    with autocast("cpu", "bfloat16"):
        loss = net(torch.randn(1, length, 64)).float().sum()
    loss.backward()
    if length == 17 + 3 * 9:
        before = peak_memory("cpu")["peak_memory"]
print((peak_memory("cpu")["peak_memory"] - before) / 1e6)
"""


@pytest.mark.slow
@pytest.mark.skipif(not has_bfloat16("cpu") or sys.platform != "linux", reason="no products in bfloat16 here")
def test_batches_of_many_lengths_do_not_each_keep_their_kernels():
    made = subprocess.run([sys.executable, "-c", MANY_LENGTHS], capture_output=True, text=True, check=True)
    assert float(made.stdout) < 200  # with the 1,024 kernels of each cache: 850 MB

"""CUDA graphs: the kernels of a function are recorded once, and then launched at once.

A small model's step takes a GPU some microseconds or milliseconds, and Python as long or longer, for every kernel is
launched by itself. A CUDA graph is the recorded list of those launches, with the addresses that they read and write.
"""

from collections.abc import Callable

import torch
from torch import Tensor

WARM = 2
"""So many times a function runs before it is recorded, so that libraries have what they allocate once."""


def record(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """A function that does what `step` does, by a CUDA graph where the device has them; `step` runs a few times.

    Args:
        step: reads and writes tensors that stay where they are. What it allocates stays its own.
        device: where its tensors are.

    Raises:
        RuntimeError: the step cannot be recorded: it waits for a value of the GPU, or no memory is left.
    """
    if device.type != "cuda":
        return step
    with torch.cuda.device(device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                step()
        except RuntimeError:
            generator = torch.cuda.default_generators[torch.cuda.current_device()]
            generator.graphsafe_set_state(generator.clone_state())  # the old one believes that it is recorded still
            raise
    return graph.replay


def recording() -> bool:
    """Whether a CUDA graph is being recorded here: no value can be read from the GPU then."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def all_true(mask: Tensor) -> bool:
    """Whether a mask leaves nothing out. While a graph is recorded that is taken for granted: see `RecordedPasses`.

    >>> all_true(torch.tensor([True, True])), all_true(torch.tensor([True, False]))
    (True, False)
    """
    return recording() or bool(mask.all())

"""Where a model looks."""

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.look.watch import watch
from unspool.models.sequence import SequenceModel
from unspool.nn.part import Part


@torch.no_grad()
def looks(model: SequenceModel, batch: Batch) -> list[Tensor]:
    """How the weights of each part that looks at a source are spread over it: (B, K, T, S), rows that sum to 1.

    In the order of the model's parts; K is the number of heads. Empty for a model that has no part that looks.
    """
    was_training = model.training
    model.eval()
    with watch(model) as trace:
        model.read(batch)
    model.train(was_training)
    parts = (path for path, part in model.named_modules() if isinstance(part, Part) and part.sees_source)
    seen = (trace.get(f"{path}.weights") for path in parts)
    return [found[0] if found[0].dim() == 4 else torch.stack(found, dim=1).unsqueeze(1) for found in seen if found]

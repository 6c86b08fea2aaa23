"""A training step recorded once as a CUDA graph and replayed: nothing is launched from Python any more.

No GPU has run this file yet, so it is used only where it is asked for (`capture=True`, `--capture`).
"""

import torch


class Captured:
    """`step(batch)` of one fixed shape as a graph; its rate is the one at the time of capture.

    The step must have run eagerly before, so that everything lazy is there. With a GradScaler the graph holds forward
    and backward only. Args: as `padam.training.engine.Trainer` keeps them.
    """

    def __init__(self, trainer, batch):
        self.trainer, self.inputs = trainer, tuple(part.clone() for part in batch)
        trainer.optimizer.zero_grad(set_to_none=True)  # the graph's own gradients are made inside it
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.result = trainer.forward_backward(self.inputs)
            if trainer.scaler is None:
                trainer.optimizer.step()

    def fits(self, batch):
        """Whether a batch has the shape of the graph's."""
        return all(mine.shape == other.shape for mine, other in zip(self.inputs, batch, strict=True))

    def __call__(self, batch):
        """(loss, how many examples, how many errors): the graph's own tensors, overwritten by the next call."""
        for mine, other in zip(self.inputs, batch, strict=True):
            mine.copy_(other)
        self.graph.replay()
        if self.trainer.scaler is not None:
            self.trainer.update()
        return self.result

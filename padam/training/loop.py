"""Training with an optimizer that somebody hands in, in memory: what the chapters do."""

import torch

from padam.training.device import flushed_denormals
from padam.training.engine import Trainer, diverged
from padam.training.progress import bar
from padam.training.tasks import task


@torch.no_grad()
def evaluate(model, data):
    """{"test_loss": mean cross-entropy (nats), "test_error": a fraction} on the test part, in eval mode."""
    model.eval()
    return task(data, 1).evaluate(model)


def fit(model, data, optimizer, *, epochs, batch_size=128, milestones=(), gamma=0.1, seed=0, text=None, label=""):
    """Train `model` in place and return {"history": ..., "outcome": ...}.

    Args:
        model: a network from `padam.models.build`, or any that maps pictures to logits, on the CPU.
        data: `padam.data.Images` or `padam.data.Text`.
        optimizer: any torch optimizer over the model's parameters.
        epochs: passes over the training set; Ctrl-C between two batches raises KeyboardInterrupt as usual.
        batch_size: pictures a step (the last batch of an epoch is kept though it is smaller), or columns of text.
        milestones, gamma: multi-step decay, see `padam.schedules.multistep`.
        seed: of the order of the batches; a text is read in order.
        text: how a text is read, and at which norm gradients are clipped: a recipe's `text`, or what
            `padam.training.tasks.TextTask` says; default 35 words at a time, never clipped.
        label: shown beside the progress bar.

    history holds lists of one number an epoch: epoch, lr (of the first group), train_loss (running mean over the
    epoch, nats), train_error, test_loss, test_error (fractions), test_perplexity (text only), seconds. outcome is
    {"status": "finished" or "diverged", "epoch": the last one run}: a run with a loss that is no longer a number stops
    there, and that epoch's losses are in the history as they are.
    """
    trainer = Trainer(
        model,
        data,
        optimizer,
        batch_size=batch_size,
        milestones=milestones,
        gamma=gamma,
        seed=seed,
        text=text,
    )
    history, status = {}, "finished"
    with flushed_denormals(), bar(trainer, epochs, label) as progress:
        for _ in range(epochs):
            row = trainer.run_epoch()
            for key, value in row.items():
                history.setdefault(key, []).append(value)
            progress(row)
            if diverged(row):
                status = "diverged"
                break
    return {"history": history, "outcome": {"status": status, "epoch": trainer.epoch}}

"""The training loop: seeds, batches, a progress bar, a history. It knows no optimizer by name, and no data set."""

import contextlib
import math
import time

import torch

from padam.schedules import scheduler
from padam.training.progress import bar
from padam.training.tasks import task


@torch.no_grad()
def evaluate(model, data):
    """{"test_loss": mean cross-entropy (nats), "test_error": a fraction} on the test part, in eval mode."""
    model.eval()
    return task(data, 1).evaluate(model)


def fit(model, data, optimizer, *, epochs, batch_size=128, milestones=(), gamma=0.1, seed=0, label=""):
    """Train `model` in place and return {"history": ..., "outcome": ...}.

    Args:
        model: a network from `padam.models.build`, or any that maps pictures to logits, on the CPU.
        data: `padam.data.Images` or `padam.data.Text`.
        optimizer: any torch optimizer over the model's parameters.
        epochs: passes over the training set; Ctrl-C between two batches raises KeyboardInterrupt as usual.
        batch_size: pictures a step (the last batch of an epoch is kept though it is smaller), or columns of text.
        milestones, gamma: multi-step decay, see `padam.schedules.scheduler`.
        seed: of the order of the batches; a text is read in order.
        label: shown beside the progress bar.

    history holds lists of one number an epoch: epoch, lr (of the first group), train_loss (running mean over the
    epoch, nats), train_error, test_loss, test_error (fractions), seconds. outcome is {"status": "finished" or
    "diverged", "epoch": the last one run}: a run whose training loss is no longer a number stops there, and that
    epoch's losses are in the history as they are.
    """
    model.to(memory_format=torch.channels_last)
    work, generator = task(data, batch_size), torch.Generator().manual_seed(seed)
    schedule = scheduler(optimizer, milestones, gamma)
    history, status = {}, "finished"
    with _flushed_denormals(), bar(total=epochs, label=label) as progress:
        for epoch in range(1, epochs + 1):
            begun, lr = time.perf_counter(), float(optimizer.param_groups[0]["lr"])
            row = {"epoch": epoch, "lr": lr, **_train_epoch(model, work, optimizer, generator), **evaluate(model, data)}
            schedule.step()
            for key, value in (row | {"seconds": time.perf_counter() - begun}).items():
                history.setdefault(key, []).append(value)
            progress(f"train loss {row['train_loss']:.3f}, test error {row['test_error']:.1%}")
            if not math.isfinite(row["train_loss"]):
                status = "diverged"
                break
    return {"history": history, "outcome": {"status": status, "epoch": epoch}}


@contextlib.contextmanager
def _flushed_denormals():
    """Denormal numbers are zero meanwhile: stuck networks run several times slower on them. The state is restored."""
    before = (torch.tensor([1e-310], dtype=torch.float64) * 1.0 == 0).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _train_epoch(model, work, optimizer, generator):
    """One pass over the training set: running means of loss and error."""
    model.train()
    loss_sum, wrong, seen = torch.zeros(()), torch.zeros((), dtype=torch.int64), 0
    for loss, count, errors in work.training_batches(model, generator):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach() * count
        wrong += errors
        seen += count
    return {"train_loss": loss_sum.item() / seen, "train_error": wrong.item() / seen}

"""The training loop: seeds, batches, a progress bar, a history. It knows no optimizer by name."""

import math
import time

import torch
from torch.nn.functional import cross_entropy

from padam.schedules import scheduler
from padam.training.progress import bar


def _batches(images, labels, data, batch_size, generator=None):
    """Normalised float32 batches, channels_last, shuffled if there is a generator; the last may be smaller."""
    mean, std = (255 * part.view(1, 3, 1, 1) for part in (data.mean, data.std))
    order = torch.arange(len(labels)) if generator is None else torch.randperm(len(labels), generator=generator)
    for chosen in order.split(batch_size):
        batch = (images[chosen].float() - mean) / std
        yield batch.to(memory_format=torch.channels_last), labels[chosen]


@torch.no_grad()
def evaluate(model, data, batch_size=1000):
    """Mean cross-entropy (nats) and error (a fraction) on the test set, as (loss, error), in eval mode."""
    model.eval()
    loss = wrong = 0.0
    for batch, labels in _batches(*data.test, data, batch_size):
        logits = model(batch)
        loss += cross_entropy(logits, labels, reduction="sum").item()
        wrong += (logits.argmax(1) != labels).sum().item()
    return loss / len(data.test[1]), wrong / len(data.test[1])


def fit(model, data, optimizer, *, epochs, batch_size=128, milestones=(), gamma=0.1, seed=0, label=""):
    """Train `model` in place and return {"history": ..., "outcome": ...}.

    Args:
        model: a network from logits of pictures, already on the CPU.
        data: `padam.data.Images`.
        optimizer: any torch optimizer over the model's parameters.
        epochs: passes over the training set; Ctrl-C between two batches raises KeyboardInterrupt as usual.
        batch_size: pictures a step; the last batch of an epoch is kept though it is smaller.
        milestones, gamma: multi-step decay, see `padam.schedules.scheduler`.
        seed: of the order of the batches.
        label: shown beside the progress bar.

    history holds lists of one number an epoch: epoch, lr (of the first group), train_loss (running mean over the
    epoch, nats), train_error, test_loss, test_error (fractions), seconds. outcome is {"status": "finished" or
    "diverged", "epoch": the last one run}: a run whose training loss is no longer a number stops there, and that
    epoch's losses are in the history as they are.
    """
    torch.set_flush_denormal(True)  # stuck networks run several times slower on denormal numbers
    model.to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed)
    schedule = scheduler(optimizer, milestones, gamma)
    keys = ("epoch", "lr", "train_loss", "train_error", "test_loss", "test_error", "seconds")
    history = {key: [] for key in keys}
    status = "finished"
    with bar(total=epochs, label=label) as progress:
        for epoch in range(1, epochs + 1):
            begun, lr = time.perf_counter(), float(optimizer.param_groups[0]["lr"])
            loss, error = _train_epoch(model, data, optimizer, batch_size, generator)
            test_loss, test_error = evaluate(model, data)
            schedule.step()
            row = (epoch, lr, loss, error, test_loss, test_error, time.perf_counter() - begun)
            for key, value in zip(keys, row, strict=True):
                history[key].append(value)
            progress(f"train loss {loss:.3f}, test error {test_error:.1%}")
            if not math.isfinite(loss):
                status = "diverged"
                break
    return {"history": history, "outcome": {"status": status, "epoch": len(history["epoch"])}}


def _train_epoch(model, data, optimizer, batch_size, generator):
    """One pass over the training set: running mean of the loss, and error."""
    model.train()
    loss_sum, wrong = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    for batch, labels in _batches(*data.train, data, batch_size, generator):
        logits = model(batch)
        loss = cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach() * len(labels)
        wrong += (logits.detach().argmax(1) != labels).sum()
    return loss_sum.item() / len(data.train[1]), wrong.item() / len(data.train[1])

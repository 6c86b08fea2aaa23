"""What the loop needs to know of a kind of data: its batches, its loss, its evaluation."""

import torch
from torch.nn.functional import cross_entropy


class ImageTask:
    """Pictures with labels: shuffled batches, cross-entropy, error."""

    def __init__(self, data, batch_size):
        self.data, self.batch_size = data, batch_size
        self.mean, self.std = (255 * part.view(1, 3, 1, 1) for part in (data.mean, data.std))

    def _batches(self, images, labels, size, order):
        """Normalised float32 batches, channels_last; the last may be smaller."""
        for chosen in order.split(size):
            batch = (images[chosen].float() - self.mean) / self.std
            yield batch.to(memory_format=torch.channels_last), labels[chosen]

    def training_batches(self, model, generator):
        """(loss, number of examples, number of errors) of every batch of an epoch; the loss carries the graph."""
        order = torch.randperm(len(self.data.train[1]), generator=generator)
        for images, labels in self._batches(*self.data.train, self.batch_size, order):
            logits = model(images)
            yield cross_entropy(logits, labels), len(labels), (logits.detach().argmax(1) != labels).sum()

    def evaluate(self, model):
        """{"test_loss": nats, "test_error": fraction} over the whole test set."""
        loss = wrong = 0.0
        count = len(self.data.test[1])
        for images, labels in self._batches(*self.data.test, 1000, torch.arange(count)):
            logits = model(images)
            loss += cross_entropy(logits, labels, reduction="sum").item()
            wrong += (logits.argmax(1) != labels).sum().item()
        return {"test_loss": loss / count, "test_error": wrong / count}


class TextTask:
    """A text as `batch_size` columns read side by side, `bptt` words at a time; the state is carried and detached."""

    def __init__(self, data, batch_size, bptt=35):
        self.data, self.batch_size, self.bptt = data, batch_size, bptt

    def _windows(self, tokens, columns):
        """(inputs, targets), each (up to bptt, columns), in reading order; tokens beyond the last full row are left."""
        rows = len(tokens) // columns
        grid = tokens[: rows * columns].view(columns, rows).t()
        for begin in range(0, rows - 1, self.bptt):
            end = min(begin + self.bptt, rows - 1)
            yield grid[begin:end], grid[begin + 1 : end + 1]

    def _losses(self, model, tokens, columns):
        state = None
        for inputs, targets in self._windows(tokens, columns):
            logits, state = model(inputs, state)
            state = _detached(state)
            loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
            yield loss, targets.numel(), (logits.detach().argmax(-1) != targets).sum()

    def training_batches(self, model, generator):
        """As for pictures, in reading order: a text is not shuffled."""
        return self._losses(model, self.data.train, self.batch_size)

    def evaluate(self, model):
        """{"test_loss": nats a token, "test_error": fraction of wrong guesses}, the test text in ten columns."""
        totals = torch.zeros(3, dtype=torch.float64)
        for loss, count, wrong in self._losses(model, self.data.test, 10):
            totals += torch.tensor([loss.item() * count, count, wrong.item()], dtype=torch.float64)
        return {"test_loss": (totals[0] / totals[1]).item(), "test_error": (totals[2] / totals[1]).item()}


def _detached(state):
    if isinstance(state, torch.Tensor):
        return state.detach()
    return state if state is None else type(state)(_detached(part) for part in state)


def task(data, batch_size):
    """The task that fits the data: `padam.data.Images` or `padam.data.Text`."""
    from padam.data import Text

    return TextTask(data, batch_size) if isinstance(data, Text) else ImageTask(data, batch_size)

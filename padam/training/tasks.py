"""What the loop needs to know of a kind of data: its batches, its loss, its evaluation."""

import math

import torch
from torch.nn.functional import cross_entropy

from padam.training import augment


class ImageTask:
    """Pictures with labels: shuffled batches, cropped and flipped if the data say so; cross-entropy, error.

    All of the data lie on the device as bytes; what is random is drawn on the CPU from the two generators.
    """

    def __init__(self, data, batch_size, device="cpu"):
        self.batch_size, self.device = batch_size, torch.device(device)
        self.shift, self.flip, self.size = data.shift, data.flip, data.train[0].shape[2:]
        self.mean, self.std = (255 * part.view(1, 3, 1, 1).to(device) for part in (data.mean, data.std))
        self.pictures = augment.padded(data.train[0].to(device), data.shift)
        self.labels = data.train[1].to(device)
        self.parts = {"test": data.test, "valid": data.valid} if data.valid else {"test": data.test}
        self.parts = {name: tuple(part.to(device) for part in pair) for name, pair in self.parts.items()}
        self.steps = -(-len(self.labels) // batch_size)  # of an epoch

    def _normalised(self, images):
        images = images.to(torch.float32, memory_format=torch.channels_last)
        return images.sub_(self.mean).div_(self.std)

    def batches(self, order, augmentation):
        """Every (pictures, labels) of an epoch, float32 channels_last and int64; the last may be smaller.

        `order` and `augmentation` are the CPU generators of the shuffle and of the crops.
        """
        count = len(self.labels)
        chosen = torch.randperm(count, generator=order).to(self.device)
        if self.shift or self.flip:
            shifts = augment.draw(count, self.shift, self.flip, augmentation)
            shifts = augment.Shifts(*(part.to(self.device) for part in shifts))
        for some in chosen.split(self.batch_size):
            if self.shift or self.flip:
                images = augment.crop(self.pictures, some, shifts, self.size)
            else:
                images = self.pictures[some].permute(0, 3, 1, 2)
            yield self._normalised(images), self.labels[some]

    def loss(self, model, batch):
        """(mean loss, how many examples, how many errors) of a batch; the loss carries the graph."""
        images, labels = batch
        logits = model(images)
        return cross_entropy(logits, labels), len(labels), (logits.detach().argmax(1) != labels).sum()

    def evaluate(self, model):
        """test_loss (nats) and test_error (a fraction) over the whole test set, and of what is held out as valid_."""
        found = {}
        for name, (images, labels) in self.parts.items():
            totals = torch.zeros(2, dtype=torch.float64, device=self.device)
            step = 250 if self.device.type == "cpu" else 2000  # 250 stay in a core's cache
            for some, answers in zip(images.split(step), labels.split(step), strict=True):
                logits = model(self._normalised(some)).float()
                losses = cross_entropy(logits, answers, reduction="sum")
                totals += torch.stack((losses.double(), (logits.argmax(1) != answers).sum().double()))
            loss, error = (totals / len(labels)).tolist()
            found |= {f"{name}_loss": loss, f"{name}_error": error}
        return found


class TextTask:
    """A text as `batch_size` columns read side by side, `bptt` words at a time; the state is carried and detached."""

    def __init__(self, data, batch_size, bptt=35, device="cpu"):
        self.batch_size, self.bptt, self.device, self.state = batch_size, bptt, torch.device(device), None
        self.train, self.parts = data.train.to(device), {"test": data.test.to(device)}
        self.steps = -(-(len(self.train) // batch_size - 1) // bptt)  # of an epoch

    def _windows(self, tokens, columns):
        """(inputs, targets), each (up to bptt, columns), in reading order; tokens beyond the last full row are left."""
        rows = len(tokens) // columns
        grid = tokens[: rows * columns].view(columns, rows).t()
        for begin in range(0, rows - 1, self.bptt):
            end = min(begin + self.bptt, rows - 1)
            yield grid[begin:end], grid[begin + 1 : end + 1]

    def batches(self, order=None, augmentation=None):
        """As for pictures, in reading order: a text is not shuffled, so the generators are not used."""
        self.state = None
        yield from self._windows(self.train, self.batch_size)

    def loss(self, model, batch):
        """As for pictures; the network goes on from the state in which the batch before left it."""
        inputs, targets = batch
        logits, state = model(inputs, self.state)
        self.state = _detached(state)
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        return loss, targets.numel(), (logits.detach().argmax(-1) != targets).sum()

    def evaluate(self, model):
        """test_loss (nats a token), test_error (share of wrong guesses), test_perplexity; the text in ten columns."""
        found, self.state = {}, None
        for name, tokens in self.parts.items():
            totals = torch.zeros(3, dtype=torch.float64)
            for batch in self._windows(tokens, 10):
                loss, count, wrong = self.loss(model, batch)
                totals += torch.tensor([loss.item() * count, count, wrong.item()], dtype=torch.float64)
            loss, error = (totals[0] / totals[1]).item(), (totals[2] / totals[1]).item()
            perplexity = math.exp(min(loss, 700.0))
            found |= {f"{name}_loss": loss, f"{name}_error": error, f"{name}_perplexity": perplexity}
            self.state = None
        return found


def _detached(state):
    if isinstance(state, torch.Tensor):
        return state.detach()
    return state if state is None else type(state)(_detached(part) for part in state)


def task(data, batch_size, device="cpu"):
    """The task that fits the data: `padam.data.Images` or `padam.data.Text`."""
    from padam.data import Text

    kind = TextTask if isinstance(data, Text) else ImageTask
    return kind(data, batch_size, device=device)

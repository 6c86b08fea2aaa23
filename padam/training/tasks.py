"""What the loop needs to know of a kind of data: its batches, its loss, its evaluation."""

import contextlib
import math

import torch
from torch.nn.functional import cross_entropy

from padam.data.whole import sides
from padam.training import augment, boxes, prefetch
from padam.training.workers import ALONE


class ImageTask:
    """Pictures with labels: shuffled batches, augmented if the data say so; cross-entropy, error.

    All of the data lie on the device as bytes, on a CPU where they lay before if they are packed. Packed pictures that
    are too large for a card stay where they are, and only batches go there, the same ones (`padam.training.prefetch`;
    `streamed` is for tests). Pictures that were packed whole are read in the same ways. What is random is drawn on the
    CPU from the two generators.

    Where several processes train (`group`), each draws the same and takes its share of every batch and of what is
    evaluated. `weight` is by how much the loss of the last batch's share counts in the mean over the processes.
    """

    clip, scale = None, 1.0  # gradients are not clipped, and all steps have the same rate
    weight = 1.0

    def __init__(self, data, batch_size, device="cpu", streamed=None, group=ALONE):
        self.batch_size, self.device, self.group = batch_size, torch.device(device), group
        self.shift, self.flip, self.resized = data.shift, data.flip, data.resized
        self.streamed = prefetch.too_large(data, self.device) if streamed is None else streamed
        self.mean, self.std = (255 * part.view(1, 3, 1, 1).to(device) for part in (data.mean, data.std))
        self.pictures = self._placed(data.train[0])
        if not self.resized:
            self.size, self.pictures = data.train[0].shape[2:], augment.padded(self.pictures, data.shift)
        self.labels = data.train[1].to(device)
        parts = {"test": data.test, "valid": data.valid} if data.valid else {"test": data.test}
        self.parts = {name: (self._placed(images), labels.to(device)) for name, (images, labels) in parts.items()}
        self.steps = -(-len(self.labels) // batch_size)  # of an epoch

    def _placed(self, images):
        return images if self.streamed else images.to(self.device)

    def fewest(self):
        """How many pictures the smallest batch or evaluated part has."""
        return min(*(len(labels) for _, labels in self.parts.values()), (len(self.labels) - 1) % self.batch_size + 1)

    def _normalised(self, images):
        images = images.to(torch.float32, memory_format=torch.channels_last)
        return images.sub_(self.mean).div_(self.std)

    def batches(self, order, augmentation):
        """Every (pictures, labels) of an epoch, float32 channels_last and int64; the last may be smaller.

        `order` and `augmentation` are the CPU generators of the shuffle and of the crops. Close it if it is not read to
        its end.
        """
        chosen = torch.randperm(len(self.labels), generator=order)
        with contextlib.closing(self._shares(chosen, augmentation)) as shares:
            for whole, share in zip(chosen.split(self.batch_size), shares, strict=True):
                self.weight = len(share[1]) * self.group.count / len(whole)
                yield share

    def _shares(self, chosen, augmentation):
        """This process's share of every batch of the pictures `chosen`, int64 (N,) on the CPU."""
        here, pieces = (
            [self.group.share(some) for some in numbers.split(self.batch_size)]
            for numbers in (chosen, chosen.to(self.device))
        )
        if self.resized:
            read = self._read(self.pictures, here, pieces)
            with contextlib.closing(self._resized(read, pieces, augmentation)) as shown:
                yield from shown
            return
        look = self._look(augmentation)
        for some in pieces:
            yield self._normalised(look(some)), self.labels[some]

    def _read(self, pictures, pieces, there):
        """The pictures that each of `pieces` names, on the device; `there` are the pieces on the device."""
        if self.streamed:
            return prefetch.ahead(pictures, pieces, self.device)
        return (pictures[some] for some in there)

    def _resized(self, read, pieces, augmentation):
        drawn = boxes.draw(*sides(self.pictures), self.flip, augmentation)
        drawn = boxes.Boxes(*(part.to(self.device) for part in drawn))
        with contextlib.closing(read):
            for some, pictures in zip(pieces, read, strict=True):
                shown = boxes.crop(pictures, boxes.Boxes(*(part[some] for part in drawn)), self.resized)
                yield self._normalised(shown), self.labels[some]

    def _look(self, augmentation):
        """A function that gives some of the pictures as this epoch shows them; what is random is drawn for all now."""
        if self.shift or self.flip:
            shifts = augment.draw(len(self.labels), self.shift, self.flip, augmentation)
            shifts = augment.Shifts(*(part.to(self.device) for part in shifts))
            return lambda some: augment.crop(self.pictures, some, shifts, self.size)
        return lambda some: self.pictures[some].permute(0, 3, 1, 2)

    def loss(self, model, batch):
        """(mean loss, how many examples, how many errors) of a batch; the loss carries the graph."""
        images, labels = batch
        logits = model(images)
        return cross_entropy(logits, labels), len(labels), (logits.detach().argmax(1) != labels).sum()

    def evaluate(self, model):
        """test_loss (nats) and test_error (a fraction) over the whole test set, and of what is held out as valid_.

        With `resized`, test_error_top5 as well: the share of pictures whose class is not among the likeliest five.
        """
        found = {}
        for name, (images, labels) in self.parts.items():
            totals = torch.zeros(2 + bool(self.resized), dtype=torch.float64, device=self.device)
            pieces = self.group.share(torch.arange(len(labels))).split(self._at_once())
            places = [slice(int(some[0]), int(some[-1]) + 1) for some in pieces]
            read = self._read(images, pieces, places)
            with contextlib.closing(read):
                for some, place in zip(read, places, strict=True):
                    answers = labels[place]
                    shown = boxes.middle(some, self.resized) if self.resized else some
                    logits = model(self._normalised(shown)).float()
                    losses = cross_entropy(logits, answers, reduction="sum")
                    wrong = [(logits.argmax(1) != answers).sum()]
                    if self.resized:
                        five = logits.topk(min(5, logits.shape[1])).indices
                        wrong.append((five != answers[:, None]).all(1).sum())
                    totals += torch.stack((losses.double(), *(count.double() for count in wrong)))
            means = (self.group.total(totals) / len(labels)).tolist()
            keys = (f"{name}_loss", f"{name}_error", f"{name}_error_top5")
            found |= dict(zip(keys, means, strict=False))
        return found

    def _at_once(self):
        """How many pictures are evaluated at a time: on a CPU 250 of 32 pixels, which stay in a core's cache.

        On a GPU 2000, and of larger pictures so many that they have as many pixels as 500 of 224: where a batch of
        such is trained, there is room for them. On a CPU so many that they have as many pixels as the 250.
        """
        side = max(32, self.resized)
        if self.device.type == "cpu":
            return max(1, 250 * 32**2 // side**2)
        return max(1, min(2000, 500 * 224**2 // side**2))


class TextTask:
    """A text as `batch_size` columns read side by side, some words at a time; the state is carried and detached.

    `settings` are those of a recipe's `text`: `bptt` words at a time; where `varied`, so many on average only: for each
    window a normal of deviation 5 around bptt, or in one of twenty cases around half of it, at least 5, and the rate of
    that step in proportion (Merity et al., 2018); `clip`, the norm at which gradients are clipped, None for never. The
    other settings are the network's.
    """

    weight = 1.0

    def __init__(self, data, batch_size, device="cpu", settings=None):
        settings = {"bptt": 35, "varied": False, "clip": None} | (settings or {})
        self.bptt, self.varied, self.clip = (settings[key] for key in ("bptt", "varied", "clip"))
        self.batch_size, self.device, self.state, self.scale = batch_size, torch.device(device), None, 1.0
        self.train, self.first = data.train.to(device), data.first
        self.parts = {"test": data.test.to(device), "valid": data.valid.to(device)}
        self.steps = -(-(len(self.train) // batch_size - 1) // self.bptt)  # of an epoch, if not varied

    def _length(self, order):
        if not self.varied:
            return self.bptt
        around = self.bptt if torch.rand((), generator=order) < 0.95 else self.bptt / 2
        return max(5, int(torch.normal(float(around), 5.0, (1,), generator=order)))

    def batches(self, order=None, augmentation=None):
        """As for pictures, in reading order; (inputs, targets), each (words, columns). `scale` is the step's rate's.

        Words beyond the last full row are left. `order` draws the lengths where these vary.
        """
        self.state = None
        rows = len(self.train) // self.batch_size
        grid = self.train[: rows * self.batch_size].view(self.batch_size, rows).t()
        begin = 0
        while begin < rows - 1:
            length = self._length(order)
            end = min(begin + length, rows - 1)
            self.scale = length / self.bptt if self.varied else 1.0
            yield grid[begin:end], grid[begin + 1 : end + 1]
            begin = end

    def loss(self, model, batch):
        """As for pictures; the network goes on from the state in which the batch before left it.

        Where the network has a penalty, it is in what is differentiated, and not in what is reported.
        """
        inputs, targets = batch
        if hasattr(model, "penalised"):
            logits, state, penalty = model.penalised(inputs, self.state)
        else:
            (logits, state), penalty = model(inputs, self.state), 0.0
        self.state = _detached(state)
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss = loss + (penalty - penalty.detach()) if torch.is_tensor(penalty) else loss
        return loss, targets.numel(), (logits.detach().argmax(-1) != targets).sum()

    def evaluate(self, model, words=256):
        """test_loss (nats a word), test_error (share of wrong guesses), test_perplexity, and of the other part valid_.

        Each part is read from its beginning to its end, `words` at a time, every word scored once, given all before it:
        the two side by side, in a column each. Where there is a `first` word, which all texts come after, a text is
        scored from its first word on, else from its second.
        """
        texts = [text if self.first is None else _after(self.first, text) for text in self.parts.values()]
        longest, state = max(map(len, texts)) - 1, None
        grid = torch.stack([torch.nn.functional.pad(text, (0, longest + 1 - len(text))) for text in texts], 1)
        lengths = torch.tensor([len(text) - 1 for text in texts], device=self.device)
        totals = torch.zeros(2, len(texts), dtype=torch.float64, device=self.device)
        for begin in range(0, longest, words):
            end = min(begin + words, longest)
            logits, state = model(grid[begin:end], state)
            targets, inside = grid[begin + 1 : end + 1], torch.arange(begin, end, device=self.device)[:, None] < lengths
            losses = cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none").view_as(targets)
            totals[0] += (losses.double() * inside).sum(0)
            totals[1] += ((logits.argmax(-1) != targets) & inside).sum(0)
        found = {}
        for name, (loss, error) in zip(self.parts, (totals / lengths).t().tolist(), strict=True):
            perplexity = math.exp(min(loss, 700.0))
            found |= {f"{name}_loss": loss, f"{name}_error": error, f"{name}_perplexity": perplexity}
        return found


def _after(first, text):
    return torch.cat([text.new_tensor([first]), text])


def _detached(state):
    if isinstance(state, torch.Tensor):
        return state.detach()
    return state if state is None else type(state)(_detached(part) for part in state)


def task(data, batch_size, device="cpu", text=None, group=ALONE):
    """The task of `padam.data.Images`, shared by a `group`, or of `padam.data.Text`, read as `text` says."""
    from padam.data import Text

    if isinstance(data, Text):
        return TextTask(data, batch_size, device, text)
    return ImageTask(data, batch_size, device, group=group)

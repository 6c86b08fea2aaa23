"""One epoch after another, on any device: the part of training that knows neither recipes nor files."""

import contextlib
import math
import time

import numpy as np
import torch

from padam.schedules import multistep
from padam.training import precision as formats
from padam.training import workers
from padam.training.device import seed_generators
from padam.training.tasks import task

AUGMENTATION = 1 << 32  # added to the seed, so that the crops are not drawn from the shuffle's numbers


class Trainer:
    """A network, its data, its optimizer and the generators, between two epochs.

    Args:
        model: a network from `padam.models.build`, or any that maps pictures to logits.
        data: `padam.data.Images` or `padam.data.Text`.
        optimizer: any torch optimizer over the model's parameters.
        batch_size: examples a step (the last batch of an epoch is kept though it is smaller), or columns of text.
        milestones, gamma: multi-step decay, see `padam.schedules.multistep`; every group has its own base rate.
        seed: of the order of the batches and of the augmentation. What the network draws itself (dropout) comes from
            torch's global generators; of several processes each draws its own, from the seed.
        device, precision: where and in which format (`padam.training.precision`).
        text: how a text is read, see `padam.training.tasks.TextTask`.
        group: the processes that train together (`padam.training.workers`); `batch_size` is of all of them.

    Raises ValueError for several processes with a text, or with fewer pictures than processes.
    """

    def __init__(
        self,
        model,
        data,
        optimizer,
        *,
        batch_size=128,
        milestones=(),
        gamma=0.1,
        seed=0,
        device="cpu",
        precision="fp32",
        text=None,
        group=workers.ALONE,
    ):
        self.device, self.precision = torch.device(device), precision
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.network, self.group = self.model, group  # the network is what trains; under torchrun it wraps the model
        self.task, self.optimizer = task(data, batch_size, self.device, text, group), optimizer
        self.rates = [multistep(float(group["lr"]), milestones, gamma) for group in optimizer.param_groups]
        self.scaler = formats.scaler(precision, self.device)
        self.order = torch.Generator().manual_seed(seed)
        self.augmentation = torch.Generator().manual_seed(AUGMENTATION + seed)
        self.seed, self.epoch, self.tick = seed, 0, lambda: None  # tick is called after every step
        if group.count > 1:
            self._check_together()

    def _check_together(self):
        if not hasattr(self.task, "pictures"):
            raise ValueError("several processes train pictures only; start this run without torchrun.")
        fewest = self.task.fewest()
        if fewest < self.group.count:
            raise ValueError(
                f"a batch, or a part that is evaluated, has {fewest} pictures, which {self.group.count} processes "
                f"cannot share; start {fewest} processes or fewer."
            )

    def run_epoch(self):
        """Train on everything once, evaluate, and return the epoch's row of the history."""
        begun, self.epoch = time.perf_counter(), self.epoch + 1
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate(self.epoch))
            else:
                group["lr"] = rate(self.epoch)
        row = {
            "epoch": self.epoch,
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            **self.train_epoch(),
            **self.evaluate(),
        }
        return row | {"seconds": time.perf_counter() - begun}

    def train_epoch(self):
        """One pass over the training set: running means of loss and error."""
        self.model.train()
        self.network = self.group.shared(self.model)
        if self.group.count > 1:  # each draws dropout of its own, and the same again after an interruption
            own = np.random.SeedSequence((self.seed, self.group.rank, self.epoch)).generate_state(1)
            seed_generators(int(own[0]), self.device)
        loss_sum = torch.zeros((), device=self.device)
        wrong, seen = torch.zeros((), dtype=torch.int64, device=self.device), 0
        with contextlib.closing(self.task.batches(self.order, self.augmentation)) as batches:
            for batch in batches:
                loss, count, errors = self._step(batch)
                loss_sum += loss.detach() * count
                wrong += errors
                seen += count
                self.tick()
        self.network = self.model
        self.group.same_buffers(self.model)
        totals = torch.stack((loss_sum.double(), wrong.double(), torch.full_like(loss_sum, seen, dtype=torch.float64)))
        loss, wrong, seen = self.group.total(totals).tolist()
        return {"train_loss": loss / seen, "train_error": wrong / seen}

    def _step(self, batch):
        self.optimizer.zero_grad()
        result = self.forward_backward(batch)
        self.update()
        return result

    def forward_backward(self, batch):
        """(loss, how many examples, how many errors) of a batch, with the gradients left in the parameters."""
        with formats.autocast(self.precision, self.device):
            result = self.task.loss(self.network, batch)
        loss = result[0] if self.task.weight == 1.0 else result[0] * self.task.weight
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        return result

    def update(self):
        """One step of the optimizer: gradients clipped and the rate scaled as the task says."""
        if self.task.clip is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.task.clip)
        with self._scaled_rates():
            if self.scaler is None:
                self.optimizer.step()
            else:
                self.scaler.step(self.optimizer)
                self.scaler.update()

    @contextlib.contextmanager
    def _scaled_rates(self):
        if self.task.scale == 1.0:
            yield
            return
        rates = [group["lr"] for group in self.optimizer.param_groups]
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"] * self.task.scale
        try:
            yield
        finally:
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate

    @torch.no_grad()
    def evaluate(self):
        """Loss and error of the test part, and of the held out part if there is one, in eval mode."""
        self.model.eval()
        with formats.autocast(self.precision, self.device):
            return self.task.evaluate(self.model)

    def state_dict(self):
        """Everything the next epoch depends on: tensors, numbers and strings only."""
        state = {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.order.get_state(),
            "augmentation": self.augmentation.get_state(),
            "cpu": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state | ({"scaler": self.scaler.state_dict()} if self.scaler else {})

    def load_state_dict(self, state):
        """Go on from `state_dict()`: on the same device the next epoch is the one that would have followed."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])
        self.augmentation.set_state(state["augmentation"])
        torch.set_rng_state(state["cpu"])
        if self.device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)
        if self.scaler and "scaler" in state:
            self.scaler.load_state_dict(state["scaler"])
        self.epoch = state["epoch"]


def diverged(row):
    """Whether an epoch's losses are numbers no longer."""
    return not all(math.isfinite(value) for key, value in row.items() if key.endswith("_loss"))

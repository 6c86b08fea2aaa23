"""By how much the learning rate is to be decayed, optimizer by optimizer, and what averaging the weights does instead.

The protocol, written down before the first run.

The paper's "small learning rate dilemma" says that an adaptive method must start at so small a rate that after a decay
or two nothing moves any more, so that it gains less from decays than SGD with momentum. If so, Adam is better off with
a gentler factor than the usual 0.1.

*Primary question.* Adam at the one of its three rates that has the lowest held out error at the factor 0.1: its test
error after the last epoch at the gentler of 0.5 and 0.3, by the held out error, against that at 0.1. One difference of
means with Welch's 95% interval over the seeds. The same for SGD with momentum and Padam, shown beside it.

*Secondary.* What a decay gains, against what averaging gains: before each decay, and at the end, the errors of the mean
of the weights after every step of the last three epochs. If that is as good as what follows the decay, the gain was
noise that settles, and not a step that had become too large to go on.

The network, the pictures and the optimizers' settings are those of the study `rates`; the three rates go from the
paper's, or a third of it for SGD with momentum, to the one with the lowest held out error there.
"""

import torch
from torch.optim.swa_utils import AveragedModel, update_bn

from padam import models, optim
from padam.studies import rates
from padam.studies.study import Study, columns, trained

_EPOCHS, _MILESTONES, _LAST = 30, (15, 22), 3  # over the last epochs of each stage weights are averaged
_MODEL, _BATCH = "convnet-bn-w32", 128
_RATES = {"sgdm": (0.03, 0.1, 0.3), "padam": (0.1, 1.0, 3.0), "adam": (0.001, 0.01, 0.03)}
_FACTORS = (1.0, 0.5, 0.3, 0.1, 0.03)
_FURTHER = 1 << 40  # added to the seed, so that the averages' look at the pictures draws nothing of the training's


class Averages:
    """The mean of the weights after each step of the last epochs before a learning-rate decay, or before the end."""

    def __init__(self, model, optimizer, seed):
        self.mean, self.seed = AveragedModel(model), seed
        self.ends = (*_MILESTONES, _EPOCHS)
        self._prepare(1)
        optimizer.register_step_post_hook(lambda *_: self.mean.update_parameters(model) if self.on else None)

    def _prepare(self, epoch):
        """Before an epoch: whether its steps count; with a stage a new mean begins."""
        self.epoch = epoch
        self.on = any(end - _LAST < epoch <= end for end in self.ends)
        if epoch - 1 in self.ends:
            self.mean.n_averaged.zero_()

    def observe(self, trainer, row, before):
        """An epoch's losses and errors, and those of the mean weights where a stage ends, None elsewhere."""
        keys = ("lr", "train_loss", "train_error", "valid_error", "test_error")
        found = {key: row[key] for key in keys} | {"mean_valid_error": None, "mean_test_error": None}
        if trainer.epoch in self.ends:
            found |= {f"mean_{key}": value for key, value in self._errors(trainer).items() if f"mean_{key}" in found}
        self._prepare(trainer.epoch + 1)
        return found

    def state_dict(self):
        """What a checkpoint holds of them."""
        return {"mean": self.mean.state_dict(), "epoch": self.epoch}

    def load_state_dict(self, state):
        """Go on from `state_dict()`."""
        self.mean.load_state_dict(state["mean"])
        self._prepare(state["epoch"])

    @torch.no_grad()
    def _errors(self, trainer):
        generators = [torch.Generator().manual_seed(_FURTHER + self.seed + part) for part in (0, 1)]
        update_bn(trainer.task.batches(*generators), self.mean)
        self.mean.eval()
        return trainer.task.evaluate(self.mean)


def measure(setting, data, run):
    """Train one optimizer at one rate, decayed by one factor: errors by epoch, and of the mean weights."""
    name, seed = setting["optimizer"], setting["seed"]
    torch.manual_seed(seed)
    model = models.build(_MODEL)
    optimizer = optim.build(name, model.parameters(), **rates.hyper(name, setting["lr"]))
    averages = Averages(model, optimizer, seed)
    rows = trained(
        model,
        rates.pictures(data),
        optimizer,
        averages.observe,
        run,
        epochs=_EPOCHS,
        along=averages,
        batch_size=_BATCH,
        milestones=_MILESTONES,
        gamma=setting["factor"],
        seed=seed,
    )
    return columns(rows)


DECAY_FACTOR = Study(
    name="decay-factor",
    question="Does an adaptive optimizer gain from a gentler learning-rate decay, and is the gain of a decay noise?",
    fixed={
        "dataset": "cifar10",
        "pictures": "5,000 to train, the next 5,000 held out, 10,000 to test, averaged to 16x16, not augmented",
        "model": _MODEL,
        "batch_size": _BATCH,
        "epochs": _EPOCHS,
        "milestones": list(_MILESTONES),
        "factor": "what the rate is multiplied with at each milestone",
        "settings": "those of the study rates",
        "mean": f"of the weights after every step of the last {_LAST} epochs before a milestone, or before the end",
    },
    settings=tuple(
        {"optimizer": name, "lr": lr, "factor": factor, "seed": seed}
        for seed in range(5)
        for name, grid in _RATES.items()
        for lr in grid
        for factor in _FACTORS
    ),
    measure=measure,
    minutes=150,
)

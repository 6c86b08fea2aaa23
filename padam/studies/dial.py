"""The exponent p, each at the rate and the weight decay that suit it: does it change where training ends?

The protocol, written down before the first run.

*Primary question.* The test error after the last epoch. Of p = 1/16, 1/8 and 1/4 the one whose chosen setting has the
lowest held out error, against p = 1/2 and against p = 0: two differences of means, each with Welch's 95% interval over
the runs of the stage "confirm". No other pair of exponents is tested; the others are shown.

*Secondary.* The same for the training error and for test minus training error; how wide the range of rates is within
one percentage point of the best held out error, the best weight decay at each rate; and the test error averaged over
the last ten epochs.

*One optimizer.* `padam.optim.Padam` with betas (0.9, 0.999), eps 1e-8 and correction "exact"; weight decay is decoupled
and given as shrinkage, the share of every weight that a step at the base rate takes away (rate times weight decay), so
that it is equal for equal numbers. Only the exponent differs. p = 0 is SGD with momentum: its rate is torch's times
1 / (1 - 0.9). Above 1/2 the paper's proof says nothing.

*Stage "choose".* Every p at rates by factors of sqrt(10) and at the shrinkages of the grid, a few seeds, all on the
same pictures. The centres of the grids of rates, 10^(-4p), join the best rates that the study `rates` found with other
settings: 1 for p = 0 and 0.01 for p = 1/2. (The median v_hat of this network is about 10^-6.5; grids at equal median
effective rates would lie a decade too low at p = 1/2 to hold its best rate.) The setting of a p is the one with the
lowest held out error after the last epoch, the mean over the seeds; a diverged run counts as infinitely bad. Where the
best rate or shrinkage is at the edge of what was measured for that p, the grid is extended there by one factor, crossed
with all of the other's values, and again until it is not; a shrinkage of 0 is no edge.

*Stage "confirm".* The chosen setting of every p on fresh seeds. Each seed has a fresh training set, drawn from the
pictures that the first stage used neither to train nor to choose; a seed's is the same for all p.

*A larger network.* `dial-vgg16` asks the same of the paper's miniature, VGG-16 with 16 channels in its first layer,
10,000 pictures, augmented, 60 epochs: fewer values of p, three rates and two shrinkages, one seed to choose and three
to confirm. There a best shrinkage at the lower end extends the grid, too. The differences are those of above.

*The other dial.* `dial-eps` turns Adam's eps instead, at p = 1/2: with a large one the root no longer matters, and Adam
is SGD with momentum at the rate over eps. The centres of its grids of rates, 0.01 + eps, join the same two ends. Tested
is the eps whose chosen setting has the lowest held out error, against p = 1/2 and p = 0 of `dial`, and against the best
p there. The network, the pictures, the grids and the seeds are those of `dial`.
"""

import dataclasses
import functools
import math
import statistics
import warnings
from dataclasses import dataclass

import torch

from padam import data as datasets
from padam import models, optim
from padam.studies.study import Study, columns, halved, trained

_BATCH, _EPS = 128, 1e-8
_MOST = 8  # extensions of a grid in one direction
_SHRINKAGES = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


@dataclass(frozen=True)
class Plan:
    """A dial of Padam, at which values, on which network and pictures, over which grids.

    `dial` is the setting that is turned, "p" or "eps", and `values` are its values; the other is 1e-8 or 1/2, as
    Adam's. `steps` are the rates' places in the grid, in factors of sqrt(10) from its centre; `seeds` are those of the
    stage "choose", `fresh` those of "confirm". `train` pictures are trained on, and the next `held_out` put aside.
    `small` averages the pictures to 16x16; `shift` and `flip` are the augmentation's.
    """

    model: str
    values: tuple
    steps: tuple
    shrinkages: tuple
    seeds: tuple
    fresh: tuple
    train: int
    held_out: int
    epochs: int
    milestones: tuple
    small: bool
    shift: int
    flip: bool
    dial: str = "p"

    def rate(self, value, step):
        """The base rate of a value of the dial at a place of its grid, to three digits.

        The centre is 10^(-4p). For eps it joins that of p = 1/2 at an eps of 0 and, at a large one, where Adam is SGD
        with momentum at the rate over eps, that of p = 0.
        """
        centre = 10 ** (-4 * value) if self.dial == "p" else 0.01 + value
        return float(f"{centre * 10 ** (step / 2):.3g}")

    def grid(self):
        """The settings of the stage "choose" before any extension."""
        return tuple(
            self._choose(value, self.rate(value, step), shrinkage, seed)
            for seed in self.seeds
            for value in self.values
            for step in self.steps
            for shrinkage in self.shrinkages
        )

    def _choose(self, value, lr, shrinkage, seed):
        return {"stage": "choose", self.dial: value, "lr": lr, "shrinkage": shrinkage, "seed": seed}

    def following(self, runs):
        """What is to be measured when `runs` are: extensions of the grids, and then the fresh seeds."""
        choosing = [run for run in runs if run["setting"]["stage"] == "choose"]
        return self._extensions(choosing) or self._confirmations(choosing)

    def _extensions(self, runs):
        more = []
        for value, (lr, shrinkage) in chosen(runs, self.dial).items():
            mine = [run["setting"] for run in runs if run["setting"][self.dial] == value]
            all_steps = range(min(self.steps) - _MOST, max(self.steps) + _MOST + 1)
            places = {self.rate(value, step): step for step in all_steps}
            steps = sorted({places[setting["lr"]] for setting in mine})
            shrinkages = sorted({setting["shrinkage"] for setting in mine})
            if lr == self.rate(value, steps[0]):
                steps.insert(0, steps[0] - 1)
            elif lr == self.rate(value, steps[-1]):
                steps.append(steps[-1] + 1)
            if shrinkage == shrinkages[-1]:
                shrinkages.append(_SHRINKAGES[_SHRINKAGES.index(shrinkage) + 1])
            elif shrinkage == shrinkages[0] > 0:
                shrinkages.insert(0, _SHRINKAGES[_SHRINKAGES.index(shrinkage) - 1])
            wanted = (
                self._choose(value, self.rate(value, step), size, seed)
                for seed in self.seeds
                for step in steps
                for size in shrinkages
            )
            more += [setting for setting in wanted if setting not in mine]
        return tuple(more)

    def _confirmations(self, runs):
        return tuple(
            {"stage": "confirm", self.dial: value, "lr": lr, "shrinkage": shrinkage, "seed": seed}
            for seed in self.fresh
            for value, (lr, shrinkage) in chosen(runs, self.dial).items()
        )

    def pictures(self, setting, root=None):
        """The pictures of a run: the first ones, with the next held out, to choose; fresh ones to confirm."""
        return _pictures(self, setting["seed"] if setting["stage"] == "confirm" else None, root)

    def measure(self, setting, data, run):
        """Train one exponent at one rate and shrinkage: losses and errors by epoch, and v_hat at the end.

        "v_hat" holds the 5th, 50th and 95th percentile of (sqrt(v_hat) + eps)^2 over the weights; its power -p is what
        multiplies the base rate.
        """
        torch.manual_seed(setting["seed"])
        model = models.build(self.model)
        optimizer = build(model, setting)
        rows = trained(
            model,
            self.pictures(setting, data),
            optimizer,
            _observe,
            run,
            epochs=self.epochs,
            batch_size=_BATCH,
            milestones=self.milestones,
            gamma=0.1,
            seed=setting["seed"],
        )
        v_hat = torch.cat([state["max_exp_avg_sq"].flatten() for state in optimizer.state.values()]).double()
        shares, eps = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64), setting.get("eps", _EPS)
        return columns(rows) | {"v_hat": torch.quantile((v_hat.sqrt() + eps) ** 2, shares).tolist()}


def build(model, setting):
    """The optimizer of a run."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*p = ", category=UserWarning)  # of exponents beyond the proof
        return optim.Padam(
            model.parameters(),
            lr=setting["lr"],
            betas=(0.9, 0.999),
            eps=setting.get("eps", _EPS),
            p=setting.get("p", 1 / 2),
            correction="exact",
            weight_decay=setting["shrinkage"] / setting["lr"],
            decay="decoupled",
        )


def chosen(runs, dial="p"):
    """{value of the dial: (rate, shrinkage)} with the lowest mean held out error over seeds; the first of equal ones.

    Args:
        runs: of the stage "choose", each {"setting": …, "result": …}.
        dial: the setting that is turned, see `Plan`.
    """
    errors = {}
    for run in runs:
        key = run["setting"][dial], run["setting"]["lr"], run["setting"]["shrinkage"]
        result = run["result"]
        errors.setdefault(key, []).append(math.inf if result["diverged"][-1] else result["valid_error"][-1])
    best = {}
    for (value, lr, shrinkage), found in errors.items():
        mean = statistics.fmean(found)
        if value not in best or mean < best[value][0]:
            best[value] = mean, lr, shrinkage
    return {value: (lr, shrinkage) for value, (_, lr, shrinkage) in best.items()}


@functools.lru_cache(maxsize=1)
def _pictures(plan, fresh, root):
    loaded = datasets.load("cifar10", root)
    data = datasets.split(loaded, plan.train, plan.held_out)
    if fresh is not None:
        images, labels = loaded.train
        unseen = torch.arange(plan.train + plan.held_out, len(labels))
        order = torch.randperm(len(unseen), generator=torch.Generator().manual_seed(fresh))
        some = unseen[order[: plan.train]].sort().values
        data = data._replace(train=(images[some], labels[some]), valid=None)
    if plan.small:
        parts = {part: getattr(data, part) for part in ("train", "valid", "test")}
        data = data._replace(**{part: (halved(two[0]), two[1]) for part, two in parts.items() if two is not None})
    return data._replace(shift=plan.shift, flip=plan.flip)


def _observe(trainer, row, before):
    keys = ("train_loss", "train_error", "valid_error", "test_loss", "test_error")
    return {key: row[key] for key in keys if key in row}


def _fixed(plan, pictures, optimizer="Padam, betas (0.9, 0.999), eps 1e-8, correction exact"):
    return {
        "dataset": "cifar10",
        "pictures": pictures,
        "model": plan.model,
        "batch_size": _BATCH,
        "epochs": plan.epochs,
        "milestones": list(plan.milestones),
        "optimizer": optimizer,
        "shrinkage": "rate times decoupled weight decay: the share of a weight that a step at the base rate takes away",
        "choose": "lowest held out error after the last epoch, mean over seeds; grids are extended at their edges",
        "confirm": "the chosen settings on fresh seeds, each with training pictures that the choice never saw",
    }


SMALL = Plan(
    model="convnet-bn-w32",
    values=(0.0, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0),
    steps=(-2, -1, 0, 1, 2),
    shrinkages=(0.0, 1e-4, 3e-4, 1e-3),
    seeds=(0, 1, 2),
    fresh=tuple(range(100, 115)),
    train=5_000,
    held_out=5_000,
    epochs=30,
    milestones=(15, 22),
    small=True,
    shift=0,
    flip=False,
)
# A larger network, whole pictures, augmented: the miniature of the paper's CIFAR-10 cell.
LARGER = Plan(
    model="vgg16-w16",
    values=(0.0, 1 / 8, 1 / 4, 1 / 2),
    steps=(-1, 0, 1),
    shrinkages=(3e-4, 1e-3),
    seeds=(0,),
    fresh=(100, 101, 102),
    train=10_000,
    held_out=5_000,
    epochs=60,
    milestones=(30, 45),
    small=False,
    shift=4,
    flip=True,
)
# The other way from Adam to SGD with momentum: an eps that outweighs the root (Savarese et al., arXiv:1912.01823).
EPSILON = dataclasses.replace(SMALL, dial="eps", values=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1))

_SMALL_PICTURES = "5,000 to train, 5,000 held out, 10,000 to test, averaged to 16x16, not augmented"
DIAL = Study(
    name="dial",
    question="Does the exponent p change where training ends, each p at the rate and weight decay that suit it?",
    fixed=_fixed(SMALL, _SMALL_PICTURES),
    settings=SMALL.grid(),
    following=SMALL.following,
    measure=SMALL.measure,
    minutes=400,
)
DIAL_VGG16 = Study(
    name="dial-vgg16",
    question="Does the exponent p change where training ends, on a larger network with augmented pictures?",
    fixed=_fixed(LARGER, "10,000 to train, 5,000 held out, 10,000 to test, shifted by up to 4 pixels and mirrored"),
    settings=LARGER.grid(),
    following=LARGER.following,
    measure=LARGER.measure,
    minutes=850,
)
DIAL_EPS = Study(
    name="dial-eps",
    question="Does Adam's eps change where training ends, each eps at the rate and weight decay that suit it?",
    fixed=_fixed(EPSILON, _SMALL_PICTURES, "Padam, p = 1/2, betas (0.9, 0.999), correction exact: torch's AMSGrad"),
    settings=EPSILON.grid(),
    following=EPSILON.following,
    measure=EPSILON.measure,
    minutes=270,
)

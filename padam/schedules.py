"""Learning rate schedules: the multi-step decay of the paper, as a function and as torch's scheduler.

Epochs count from 1. With milestones (100, 150) the first 100 epochs run at lr, the next 50 at lr * gamma, the
rest at lr * gamma^2: the 100/50/50 of the paper's Section 5.
"""

from bisect import bisect_left
from itertools import pairwise


def _checked(milestones, gamma):
    milestones = tuple(milestones)
    if any(m < 1 or m != int(m) for m in milestones) or any(a >= b for a, b in pairwise(milestones)):
        raise ValueError(f"milestones is {milestones}, but must be increasing whole numbers of epochs from 1 on.")
    if not 0 < gamma <= 1:
        raise ValueError(f"gamma is {gamma}, but must be in (0, 1]: each milestone multiplies the rate by it.")
    return milestones


def multistep(lr, milestones, gamma=0.1):
    """The base learning rate as a function of the epoch (from 1): lr, times gamma after each milestone.

    Args:
        lr: base learning rate of the first epoch.
        milestones: the last epoch at each rate, increasing; () keeps lr for ever.
        gamma: factor in (0, 1]; default 0.1, the paper's.

    Raises ValueError for milestones that do not increase or a gamma outside (0, 1].
    """
    milestones = _checked(milestones, gamma)
    return lambda epoch: lr * gamma ** bisect_left(milestones, epoch)


def scheduler(optimizer, milestones, gamma=0.1):
    """torch's MultiStepLR with the same milestones; call its step() once at the end of every epoch.

    Arguments and errors as for `multistep`; each group keeps a base learning rate of its own.
    """
    from torch.optim.lr_scheduler import MultiStepLR

    return MultiStepLR(optimizer, list(_checked(milestones, gamma)), gamma)

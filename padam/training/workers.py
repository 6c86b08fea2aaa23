"""Processes that train one network together, as torchrun starts them: who they are, and what they tell each other.

    torchrun --nproc-per-node 2 -m padam train ID

A process that torchrun has not started is `ALONE`, and nothing of torch.distributed is set up for it. No GPU has run
the NCCL half of this file yet.
"""

import contextlib
import datetime
import os

ANSWER = datetime.timedelta(minutes=10)  # how long a step of the others is waited for
PATIENCE = datetime.timedelta(days=1)  # and for what process 0 does for all: it may have ImageNet to pack


class Lost(RuntimeError):
    """Another process of the run has ended, or does not answer any more."""


def count():
    """How many processes torchrun has started for this run; 1 for a process that it has not started."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank():
    """This process's number among them, from 0; process 0 writes and speaks for all."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def speaks(error=None):
    """Whether this process is to say something: process 0 is, and another one what has happened to it alone."""
    return rank() == 0 or getattr(error, "alone", False)


def place(device=None):
    """The torch.device of this process: the one asked for, default CUDA where there is one; under torchrun a card.

    Raises ValueError under torchrun for a single card, and if there are fewer cards than processes on this machine.
    """
    import torch

    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if count() == 1 or device.type != "cuda":
        return device
    if device.index is not None:
        raise ValueError(
            f"torchrun gives every process a card of its own, so {device} cannot be asked for; CUDA_VISIBLE_DEVICES "
            f"says which cards there are."
        )
    here, cards = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if here > cards:
        raise ValueError(
            f"torchrun has started {here} processes, but there are {cards} cards: give --nproc-per-node {cards}."
        )
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))


class Alone:
    """One process: its share is everything, and it waits for nobody."""

    rank, count = 0, 1

    def share(self, examples):
        """This process's part of examples (N, ...): consecutive ones, so many as of the others or one more or less."""
        return examples

    def total(self, tensor):
        """The sum of a tensor over all processes."""
        return tensor

    def first(self, call):
        """What `call()` returns in process 0, which alone calls it; what it raises is raised in all."""
        return call()

    def in_turn(self, call):
        """What `call()` returns in this process; process 0 is done with it before the others call."""
        return call()

    def shared(self, model):
        """The network whose backward pass leaves the mean of all processes' gradients; weights are process 0's."""
        return model

    def same_buffers(self, model):
        """Batch norm's running averages are process 0's from now on, in all processes."""


ALONE = Alone()


class Workers(Alone):
    """Processes that are connected: `Alone`'s methods, each called by all of them at the same point."""

    def __init__(self, device):
        from torch import distributed

        self.distributed, self.rank, self.count, self.device = distributed, rank(), count(), device
        self.told = None  # the error that all raise
        self.control = distributed.new_group(backend="gloo", timeout=PATIENCE)

    def share(self, examples):
        """See `Alone.share`."""
        return examples.tensor_split(self.count)[self.rank]

    def total(self, tensor):
        """See `Alone.total`."""
        self.distributed.all_reduce(tensor)
        return tensor

    def first(self, call):
        """See `Alone.first`; what is returned or raised is pickled on its way to the others."""
        found = [None, None]
        if self.rank == 0:
            try:
                found[0] = call()
            except Exception as error:
                found[1] = error
        heard = list(found)
        self.distributed.broadcast_object_list(heard, 0, group=self.control)
        result, self.told = found if self.rank == 0 else heard
        if self.told is not None:
            raise self.told
        return result

    def in_turn(self, call):
        """See `Alone.in_turn`."""
        mine = []
        self.first(lambda: mine.append(call()))
        return mine[0] if self.rank == 0 else call()

    def shared(self, model):
        """See `Alone.shared`.

        It is made anew for every epoch: the order in which gradients are summed settles in its first step, so that a
        run that goes on after an epoch sums as one that never stopped.
        """
        from torch.nn.parallel import DistributedDataParallel

        cards = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=cards)

    def same_buffers(self, model):
        """See `Alone.same_buffers`; the last step has left every process with its own pictures' in them."""
        for buffer in model.buffers():
            self.distributed.broadcast(buffer, 0)

    def meet(self):
        """Wait until all have come here: torchrun ends the others as soon as one has ended with an error."""
        with contextlib.suppress(RuntimeError):
            self.distributed.barrier(group=self.control)


@contextlib.contextmanager
def joined(device):
    """Yield `Workers` that are connected while the block lasts; `ALONE` to a process that torchrun has not started.

    NCCL takes CUDA's current device for the process's own (`padam.training.device.on_card`).

    What `Workers.first` raises ends all processes in order. Any other error ends this one, and then the others, with
    `Lost`: at once on CPUs; with NCCL when torchrun kills them, half a minute later.
    """
    if count() == 1:
        yield ALONE
        return
    from torch import distributed

    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=ANSWER)
    group = Workers(device)
    try:
        yield group
    except Exception as error:
        if error is group.told:
            group.meet()
            distributed.destroy_process_group()
            raise
        if not _is_of_the_connection(error):
            error.alone = not getattr(error, "interrupted", False)  # signals come to all
            raise
        lost = Lost(
            f"another of the {group.count} processes has ended, or has not answered for {ANSWER.seconds // 60} "
            f"minutes. The last checkpoint is there, and the same command goes on from it."
        )
        lost.alone = group.rank == 1  # process 0 may be the lost one; more than two need not say it
        raise lost from error
    group.meet()
    distributed.destroy_process_group()


def _is_of_the_connection(error):
    from torch import distributed

    return isinstance(error, distributed.DistError) or (type(error) is RuntimeError and "gloo" in str(error).lower())

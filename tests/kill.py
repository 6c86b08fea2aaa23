"""Kill training runs at random moments, again and again, and compare the weights they end in with undisturbed ones.

    python tests/kill.py [--kills 20] [--seed 0]

Each recipe is trained once undisturbed and once under fire: the process gets SIGKILL at a random moment after it has
begun to train, and the same call is made again. Every file operation of a checkpoint is slowed down in the victims, so
that many kills fall into the middle of one. The weights must agree bit for bit, the records but for times.
"""

import argparse
import json
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import warm

from padam import recipes, records
from padam.training import checkpoint

RECIPES = (
    "ptb/lstm2/padam",
    "cifar10/vgg16/padam",
    "cifar10/wrn16-4/adabound",
    "cifar10/resnet18/sgdm",
    "ptb/lstm2/yogi",
)
_VICTIM = """
import os, sys, time, torch
from padam import data, recipes, training
for name in ("fsync", "replace", "link"):
    def slow(*args, original=getattr(os, name)):
        time.sleep(0.15)
        return original(*args)
    if sys.argv[3] == "slow":
        setattr(os, name, slow)
torch.optim.SGD([torch.zeros(1)])  # imports seconds' worth of torch, where nothing could be lost
data.load(recipes.get(sys.argv[1], "quick").dataset)
print("ready", flush=True)
training.train(recipes.get(sys.argv[1], "quick"), 0, sys.argv[2], device="cpu", threads=1, keep=True)
"""


def start(id, out, slow=True):
    """A process that trains a quick recipe; returns when it is about to begin."""
    process = warm.Process("-c", _VICTIM, id, out, "slow" if slow else "fast")
    process.stdout.readline()
    return process


def finish(process):
    """Wait for the end of a process; raises RuntimeError with what it said if it failed."""
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"training ended with {process.returncode}: {said}")


def weights(id, out):
    """The tensors of the last checkpoint of a finished run."""
    return checkpoint.load(records.path(recipes.get(id, "quick"), 0, out).with_suffix(""))["trainer"]["model"]


def record(id, out):
    """The record of a run without what may differ from run to run: times, and the commit if one came meanwhile."""
    found = records.read(records.path(recipes.get(id, "quick"), 0, out))
    del found["started"], found["finished"], found["commit"], found["history"]["seconds"]
    return found


def siege(id, folder, kills, rng, say=lambda line: None):
    """Train `id` undisturbed and under at most `kills` kills; returns how many fell, and how many inside a checkpoint.

    Raises AssertionError if the two runs differ in a bit.
    """
    undisturbed = start(id, folder / "undisturbed", slow=False)
    begun = time.monotonic()
    finish(undisturbed)
    took = time.monotonic() - begun
    fallen, inside = 0, 0
    place = records.path(recipes.get(id, "quick"), 0, folder / "killed").with_suffix("")
    while fallen < kills:
        process = start(id, folder / "killed")
        try:
            process.communicate(timeout=rng.uniform(0, 0.6 * took))
            break  # it came through
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        fallen += 1
        inside += any(place.glob(".*.part"))
        say(f"{id}: kill {fallen}, checkpoints of epochs {sorted(epoch for epoch, _ in checkpoint.found(place))}")
    finish(start(id, folder / "killed"))
    mine, theirs = (weights(id, folder / name) for name in ("undisturbed", "killed"))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine), f"{id}: the weights differ"
    assert record(id, folder / "undisturbed") == record(id, folder / "killed"), f"{id}: the records differ"
    assert not list(place.glob(".*.part")), "a half-written file was left"
    return fallen, inside


def main():
    """The long version, on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    rng, fallen, inside, turn = random.Random(options.seed), 0, 0, 0
    while fallen < options.kills:
        with tempfile.TemporaryDirectory() as folder:
            id = RECIPES[turn % len(RECIPES)]
            more = siege(id, Path(folder), min(5, options.kills - fallen), rng, lambda line: print(line, flush=True))
            fallen, inside, turn = fallen + more[0], inside + more[1], turn + 1
            print(f"{id}: same weights, bit for bit; {fallen} kills so far", flush=True)
    print(json.dumps({"kills": fallen, "inside a checkpoint": inside, "runs": turn}))


if __name__ == "__main__":
    main()

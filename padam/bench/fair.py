"""What fair timings share: the sides take turns in one process, and what is kept says where and of what."""

import json
import os
import re
import statistics
import time
from pathlib import Path

from padam import files, records
from padam.training import provenance as origin
from padam.training.run import now


def in_turn(sides, rounds, say):
    """{name: [seconds, ...]} of every side, one after the other in each round; the first round is not counted."""
    seconds = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            begun = time.perf_counter()
            side()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
        if turn:
            say(", ".join(f"{name} {taken[-1]:.2f} s" for name, taken in seconds.items()))
    return seconds


def spread(values, digits=4):
    """{"median", "lowest", "highest"} of some numbers, rounded."""
    named = {"median": statistics.median, "lowest": min, "highest": max}
    return {name: round(of(values), digits) for name, of in named.items()}


def provenance(device, threads):
    """The keys of a record that say where, when and with what it was measured."""
    return {
        "schema": 1,
        "device": origin.device_name(device),
        "threads": threads,
        "cores": os.cpu_count(),
        "versions": origin.versions(),
        "commit": origin.commit(),
        "source_hash": [origin.source_hash()],
        "finished": now(),
    }


def load(kind, root=None):
    """The records that `keep` wrote of a benchmark, "step" or "train", in the order of their files' names."""
    root = Path(root) if root else records.default_root().with_name("bench")
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(root.glob(f"{kind}-*.json"))]


def keep(record, root=None):
    """Write a benchmark's record into `root`, named after what was timed and where; replaces an older one.

    "train" records are train-<model>-<device>.json, "step" records step-<device>.json; returns the path.
    """
    parts = (record["bench"], record.get("recipe", {}).get("model"), record["device"])
    name = "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts if part)
    root = Path(root) if root else records.default_root().with_name("bench")
    files.write(root / f"{name}.json", records.dumps(record).encode())
    return root / f"{name}.json"

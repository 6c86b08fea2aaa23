"""The time of a step: Padam in all its forms, torch's Amsgrad, and a copy of as many bytes, in turn over one network.

A step of Padam reads five float32 numbers a parameter (x, g, m, v, v_hat) and writes four: 36 bytes, for a dozen
operations. So memory is the limit, and the time of copying as many bytes says how near a form comes to it.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from padam import models, optim
from padam.bench.fair import in_turn, provenance, spread
from padam.optim import fused
from padam.training.device import on_card

BYTES = 36  # a parameter, if each number is read once and written once
NETWORKS = {
    "small": ("convnet-bn-w16", 10, 28),
    "resnet18-w8": ("resnet18-w8", 10, 32),
    "resnet18": ("resnet18", 1000, 224),
    "lstm2": ("lstm2", None, None),
}
# A transformer of 24 layers, 1,792 wide, with 50,000 words: 1.0 billion parameters. On a GPU only.
BILLION = ((50_000, 1792), *((3 * 1792, 1792), (1792, 1792), (4 * 1792, 1792), (1792, 4 * 1792), (1792,), (1792,)) * 24)
LARGE, ESSENTIAL = 10**8, ("torch foreach", "torch fused", "foreach", "fused")  # above so many parameters only these
_LEAST = 0.02  # seconds of a round: fast steps are repeated until they take so long


def shapes(network):
    """The shapes of a network's parameters; `network` is a key of NETWORKS, or "billion"."""
    if network == "billion":
        return BILLION
    name, classes, size = NETWORKS[network]
    with torch.device("meta"):
        net = models.build(name, vocabulary=10_000) if size is None else models.build(name, classes, size)
    return [tuple(weights.shape) for weights in net.parameters()]


def _parameters(sizes, device):
    """New tensors with gradients, the same at every call."""
    drawn = torch.Generator(device).manual_seed(0)
    params = [torch.nn.Parameter(0.1 * torch.randn(size, generator=drawn, device=device)) for size in sizes]
    for param in params:
        param.grad = 0.01 * torch.randn(param.shape, generator=drawn, device=device)
    return params


def _copy(count, device):
    """A function that copies as many bytes as a step of `count` parameters moves, in pieces of at most 2 GB."""
    floats = count * BYTES // 8  # a copy reads four bytes and writes four
    pieces = -(-floats // 2**29)
    source = torch.ones(floats // pieces, device=device)
    target = torch.empty_like(source)
    return lambda: [target.copy_(source) for _ in range(pieces)]


def forms(device):
    """{name: (class, its options)} of everything that is timed on a device; torch's Amsgrad begins with "torch".

    Ours are Padam at p = 1/8, whose power is taken by square roots, and at 1/5, which has none.
    """
    rate, theirs = {"lr": 1e-4}, {"lr": 1e-4, "amsgrad": True}
    found = {
        "torch foreach": (torch.optim.Adam, theirs | {"foreach": True}),
        "torch fused": (torch.optim.Adam, theirs | {"fused": True}),
        "loop": (optim.Padam, rate | {"foreach": False}),
        "foreach": (optim.Padam, rate | {"foreach": True}),
    }
    found["foreach, p = 1/5"] = optim.Padam, rate | {"foreach": True, "p": 1 / 5}
    if fused.why_unsupported("padam", device, torch.float32) is None:
        found["fused"] = optim.Padam, rate | {"fused": True}
        found["fused, p = 1/5"] = optim.Padam, rate | {"fused": True, "p": 1 / 5}
    return found


class Traffic(TorchDispatchMode):
    """Counts what torch's operations read and write while it is active, in `bytes`; caches are not considered.

    Every tensor given is read, and every one changed or made is written.
    """

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made, named, changed = func(*args, **(kwargs or {})), kwargs or {}, []
        if func.is_view:
            return made
        for place, about in enumerate(func._schema.arguments):
            value = args[place] if place < len(args) else named.get(about.name)
            written = about.alias_info is not None and about.alias_info.is_write
            if not (written and (about.is_out or "copy_" in func.__name__)):
                self.bytes += _size(value)
            if written:
                changed.append(value)
        self.bytes += sum(map(_size, changed)) if changed else _size(made)
        return made


def _size(value):
    """Bytes of a tensor, or of the tensors of a list, but for single numbers."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size() if value.ndim else 0
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 0


def traffic(optimizer):
    """Bytes a parameter that one step of an optimizer reads and writes, see `Traffic`; takes a step.

    A fused step is not listened to: it is one operation, which moves `BYTES` by construction.
    """
    count = sum(param.numel() for group in optimizer.param_groups for param in group["params"])
    if any(group.get("fused") for group in optimizer.param_groups):
        return float(BYTES)
    with Traffic() as seen:
        optimizer.step()
    return seen.bytes / count


def step(*, device=None, threads=None, rounds=15, networks=None, say=lambda line: None):
    """Seconds that a step takes in each form, over the tensors of each network; returns a record.

    Each side takes one step that is not counted; then, in every round, each takes its turn, fast ones several times.
    `copy` copies as many bytes as a step must move, 36 a parameter read and written together. Ratios are taken in each
    round, of one side's time over another's.

    Args:
        device: default CUDA where there is one.
        threads: of the CPU; default all.
        rounds: how often each is timed.
        networks: keys of NETWORKS, or "billion" (a billion parameters, about 70 GB); default all of NETWORKS, and on
            CUDA "billion" too. What does not fit is left out.
        say: called with a line after each side of a network is done.

    Raises ValueError for an unknown network.
    """
    device, before = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")), torch.get_num_threads()
    networks = list(networks or [*NETWORKS, *(["billion"] if device.type == "cuda" else [])])
    if unknown := [name for name in networks if name not in (*NETWORKS, "billion")]:
        raise ValueError(f"no network is called {unknown[0]!r} here; there are {', '.join(NETWORKS)} and billion.")
    torch.set_num_threads(threads or before)
    try:
        used = torch.get_num_threads()
        found = {}
        for name in networks:
            try:
                with on_card(device):
                    found[name] = _timed(shapes(name), device, rounds, lambda line, name=name: say(f"{name}: {line}"))
            except torch.OutOfMemoryError as error:  # what was measured before is kept
                say(f"{name}: left out, for it does not fit: {error}")
                torch.cuda.empty_cache()
    finally:
        torch.set_num_threads(before)
    return {"bench": "step", "rounds": rounds, "networks": found, **provenance(device, used)}


def _timed(sizes, device, rounds, say):
    """What a record keeps of one network."""
    count = sum(torch.Size(size).numel() for size in sizes)
    sides, moved = {"copy": _copy(count, device)}, {"copy": float(BYTES)}
    shared = _parameters(sizes, device) if count > LARGE else None  # so that all forms fit at once
    for name, (cls, options) in forms(device).items():
        if shared and name not in ESSENTIAL:
            continue
        optimizer = cls(shared or _parameters(sizes, device), **options)
        optimizer.step()  # makes the state, compiles
        sides[name], moved[name] = optimizer.step, traffic(optimizer)
    repeats = {name: _repeats(side, device) for name, side in sides.items()}
    often = {name: _repeated(side, repeats[name], device) for name, side in sides.items()}
    taken = in_turn(often, rounds, lambda line: None)
    seconds = {name: [value / repeats[name] for value in values] for name, values in taken.items()}
    rows = {
        name: {"seconds": spread(taken, 8), "bytes": round(moved[name], 1), "of_copy": _ratio(seconds["copy"], taken)}
        for name, taken in seconds.items()
    }
    for ours, theirs in (("foreach", "torch foreach"), ("fused", "torch fused")):
        if ours in rows:
            rows[ours]["to_torch"] = _ratio(seconds[ours], seconds[theirs])
    for name, row in rows.items():
        say(f"{name} {1e3 * row['seconds']['median']:.3f} ms")
    return {"tensors": len(sizes), "parameters": count, "forms": rows}


def _ratio(above, below):
    return spread([one / other for one, other in zip(above, below, strict=True)])


def _repeats(side, device):
    """How often a side is repeated so that a round of it takes long enough to be timed."""
    once = in_turn({"side": _repeated(side, 1, device)}, 3, lambda line: None)["side"]
    return max(1, round(_LEAST / min(once)))


def _repeated(side, times, device):
    """A function that calls a side several times and waits until the device is done."""

    def _run():
        for _ in range(times):
            side()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return _run


def tables(record):
    """{network, its number of parameters: rows of text, a title first}: a row for each form, times in milliseconds."""
    title = ["form", "ms", "lowest to highest", "ns a parameter", "bytes a parameter", "of a copy's speed"]
    title += ["times torch's"]
    return {
        f"{network}, {found['parameters']:,} parameters": [
            title,
            *(_row(name, row, found["parameters"]) for name, row in found["forms"].items()),
        ]
        for network, found in record["networks"].items()
    }


def _row(name, row, parameters):
    taken, ratio = row["seconds"], row.get("to_torch")
    return [
        name,
        f"{1e3 * taken['median']:.3f}",
        f"{1e3 * taken['lowest']:.3f} to {1e3 * taken['highest']:.3f}",
        f"{1e9 * taken['median'] / parameters:.2f}",
        f"{row['bytes']:.0f}",
        f"{row['of_copy']['median']:.0%}",
        f"{ratio['median']:.2f} ({ratio['lowest']:.2f} to {ratio['highest']:.2f})" if ratio else "",
    ]

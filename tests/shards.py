"""What each of two processes does for test_shards.py; it starts from this file alone, which is quick."""

import json
import traceback
from itertools import product

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.nn import Parameter

import padam

SERVED = ("Padam", "AMSGrad", "Yogi", "AdaBound")  # with a fused step
OPTIONS = {
    "default": {},
    "loop": {"foreach": False},
    "fused": {"fused": True},
    "l2, maximize": {"weight_decay": 0.1, "maximize": True},
    "decoupled": {"weight_decay": 0.1, "decay": "decoupled"},
    "capturable": {"capturable": True},
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SHAPES = ((4, 3), (6,), (5, 2), (3,))


def rows():
    """[(class, dtype, options), ...] by name; where there is no fused step, torch's default instead."""
    return list(product(padam.__all__, DTYPES, OPTIONS))


def placed(tensors, mesh):
    """Sharded, replicated, sharded unevenly, and a plain one beside them, as tensor parallelism leaves it."""
    placements = ([Shard(0)], [Replicate()], [Shard(0)])
    return [*(distribute_tensor(t, mesh, p) for t, p in zip(tensors, placements, strict=False)), tensors[3].clone()]


def step_is_the_whole_ones(name, dtype, options, mesh):
    """Whether three steps over DTensors are those over whole tensors; gradients come in other placements, too."""
    cls, dtype, options = getattr(padam, name), DTYPES[dtype], OPTIONS[options]
    if options.get("fused") and (name not in SERVED or dtype == torch.bfloat16):
        options = {}
    drawn = torch.Generator().manual_seed(0)
    values, *gradients = [[torch.randn(s, generator=drawn).to(dtype) for s in SHAPES] for _ in range(4)]
    whole = [Parameter(value.clone()) for value in values]
    shards = [Parameter(value) for value in placed(values, mesh)]
    one, other = cls(whole, lr=1e-2, **options), cls(shards, lr=1e-2, **options)
    for number, grads in enumerate(gradients):
        for param, grad in zip(whole, grads, strict=True):
            param.grad = grad.clone()
        for param, grad in zip(shards, placed(grads, mesh), strict=True):
            if isinstance(grad, DTensor) and number == 1:
                grad = grad.redistribute(placements=[Replicate()])
            param.grad = grad
        one.step()
        other.step()
    for ours, theirs in zip(shards, whole, strict=True):
        state, expected = other.state[ours], one.state[theirs]
        for value, wanted in ((ours, theirs), *((state[key], expected[key]) for key in expected)):
            if isinstance(value, DTensor):
                assert key_is_distributed_alike(value, ours, state), "a state lies elsewhere than its parameter"
                value = value.full_tensor()
            torch.testing.assert_close(value, wanted.data, rtol=1e-6, atol=1e-7)


def key_is_distributed_alike(value, param, state):
    return not isinstance(param, DTensor) or value.placements == param.placements


def fsdp_is_one_process(mesh, options):
    """FSDP2 over a layer of more than 2^19 elements, in main memory, against the layer in one process."""
    torch.manual_seed(0)
    layer, twin = torch.nn.Linear(1025, 1024), torch.nn.Linear(1025, 1024)
    twin.load_state_dict(layer.state_dict())
    fully_shard(layer, mesh=mesh)
    one, other = padam.Padam(twin.parameters(), **options), padam.Padam(layer.parameters(), **options)
    for _ in range(2):
        inputs = torch.randn(4, 1025)
        layer(inputs).square().mean().backward()
        for ours, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
            theirs.grad = ours.grad.full_tensor()  # by gloo, FSDP of PyTorch 2.7 adds gradients where it should average
        one.step()
        other.step()
        other.zero_grad()
    for ours, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
        assert ours.to_local().numel() * 2 >= 1024
        torch.testing.assert_close(ours.full_tensor(), theirs.data)
    saved = other.state_dict()
    other.load_state_dict(saved)
    layer(inputs).square().mean().backward()
    other.step()


def work(rank, folder):
    """Try all rows; rank 0 writes {row: "" or the error}."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    mesh, found = init_device_mesh("cpu", (2,)), {}
    tried = {"/".join(row): (step_is_the_whole_ones, (*row, mesh)) for row in rows()}
    tried |= {f"fsdp/{name}": (fsdp_is_one_process, (mesh, options)) for name, options in list(OPTIONS.items())[:3]}
    for name, (check, given) in tried.items():
        try:
            check(*given)
            found[name] = ""
        except Exception:
            found[name] = traceback.format_exc()[-1500:]
    with open(f"{folder}/{rank}.json", "w") as file:
        json.dump(found, file)
    distributed.destroy_process_group()

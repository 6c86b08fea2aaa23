"""DTensors: every class, dtype and option steps on this process's shards as one process does on whole tensors."""

import json
from pathlib import Path

import pytest
import shards
import torch
import warm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="needs gloo"
    ),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """{row: "" or the error} of both of two processes."""
    folder = tmp_path_factory.mktemp("shards")
    torch.multiprocessing.start_processes(shards.work, (str(folder),), nprocs=2, start_method=warm.METHOD)
    return [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(2)]


def test_all_96_rows_are_tried():
    assert len(shards.rows()) == 96


@pytest.mark.parametrize("row", ["/".join(row) for row in shards.rows()])
def test_a_step_over_shards_is_a_step_over_the_whole(row, found):
    assert [of_rank[row] for of_rank in found] == ["", ""]


@pytest.mark.parametrize("form", list(shards.OPTIONS)[:3])
def test_fsdp_in_main_memory_steps_large_layers(form, found):
    """Beyond the size at which a step works in blocks."""
    assert [of_rank[f"fsdp/{form}"] for of_rank in found] == ["", ""]

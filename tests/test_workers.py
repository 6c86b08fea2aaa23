"""Several processes that train one network: together they do what one does, end together, and lose nothing."""

import json
import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from types import SimpleNamespace

import jsonschema
import pytest
import torch
import warm
from typer.testing import CliRunner

from padam import cli, data, files, models, optim, recipes, records, training
from padam.records import check
from padam.training import authors, checkpoint, engine, run, tasks, workers

ID = "cifar10/vgg16/padam"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (torch.distributed.is_available() and torch.distributed.is_gloo_available()), reason="needs gloo"
    ),
]


@pytest.fixture(scope="module")
def few():
    """203 digits to train on, which leave an uneven last batch of 3, and 101 to test."""
    digits = data.load("mnist5k")
    return digits._replace(
        train=tuple(part[::19][:203] for part in digits.train), test=tuple(p[:101] for p in digits.test)
    )


def together(work, count=2):
    """[what `work()` returns or raises in each of so many processes], which are set up as torchrun does it.

    They are forked, so that nothing is imported anew, and `work` may be any function; before the store is there, for a
    lock that a thread of its holds at that moment would stay locked in the process.
    """
    context, pipes = multiprocessing.get_context("fork"), []
    ports = context.SimpleQueue()

    def child(rank, pipe):
        env = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
        env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": ports.get(), "TORCHELASTIC_USE_AGENT_STORE": "True"}
        os.environ.update({key: str(value) for key, value in env.items()}, TORCHELASTIC_RUN_ID="test")
        try:
            found = work()
        except Exception as error:
            found = error
        pipe.send_bytes(pickle.dumps(found))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that this process has threads: torch's, which sleep
        for rank in range(count):
            mine, its = context.Pipe(duplex=False)
            process = context.Process(target=child, args=(rank, its), daemon=True)
            process.start()
            its.close()
            pipes.append((process, mine))
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for _ in pipes:
        ports.put(store.port)
    found = []
    for process, pipe in pipes:
        assert pipe.poll(120), "a process hangs"
        try:
            found.append(pickle.loads(pipe.recv_bytes()))
        except EOFError:
            found.append(None)  # it was killed
        process.join(60)
        assert process.exitcode is not None
    return found


def test_what_forks_in_a_process_that_has_done_nothing_else():
    """All tests below that are marked so: what JAX and LLVM leave behind in this process would not survive a fork."""
    run = warm.suite(__file__, "-m", "forks", env={"PADAM_FORKS": "1"})
    assert run.returncode == 0, run.stdout[-3000:]
    assert "12 passed" in run.stdout


def _untimed(row):
    return {key: value for key, value in row.items() if key != "seconds"}


def _trained(pictures, model="convnet", epochs=2, batch_size=40, seed=3):
    """(rows, weights after every step, buffers at the end) of a few epochs; a process's own."""
    with workers.joined(workers.place("cpu")) as group:
        network = models.build(model, seed=0)
        optimizer = optim.build("sgdm", network.parameters(), lr=0.02)
        trainer = engine.Trainer(network, pictures, optimizer, batch_size=batch_size, seed=seed, group=group)
        steps = []
        trainer.tick = lambda: steps.append([p.detach().clone() for p in network.parameters()])
        rows = [_untimed(trainer.run_epoch()) for _ in range(epochs)]
    return pickle.loads(pickle.dumps((rows, steps, [buffer.clone() for buffer in network.buffers()])))


def _close(rows, others):
    for row, other in zip(rows, others, strict=True):
        assert row.keys() == other.keys()
        assert all(math.isclose(row[key], other[key], rel_tol=2e-5) for key in row), (row, other)


@pytest.mark.forks
@pytest.mark.parametrize("augmented", [False, True])
def test_two_processes_train_as_one(few, augmented):
    """Whole and uneven batches, the same crops; sums of all processes in the history."""
    pictures = few._replace(shift=4, flip=True) if augmented else few
    alone = _trained(pictures)
    first, second = together(lambda: _trained(pictures))
    assert first[0] == second[0]
    _close(first[0], alone[0])
    assert len(first[1]) == len(alone[1]) == 2 * math.ceil(203 / 40)
    for mine, other, whole in zip(first[1], second[1], alone[1], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
        for a, b in zip(mine, whole, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6)


@pytest.mark.forks
def test_three_processes_may_share_unevenly(few):
    pictures = few._replace(train=tuple(part[:80] for part in few.train))
    alone, shared = _trained(pictures, epochs=1), together(lambda: _trained(pictures, epochs=1), 3)
    assert shared[0][0] == shared[1][0] == shared[2][0]
    _close(shared[0][0], alone[0])


@pytest.mark.forks
def test_batch_norm_is_per_process_and_the_averages_are_those_of_process_0(few):
    first, second = together(lambda: _trained(few, "convnet-bn-w8", batch_size=1000))
    assert first[0] == second[0]
    assert len(first[2]) == 9
    assert all(torch.equal(a, b) for a, b in zip(first[2], second[2], strict=True))
    once = together(lambda: _trained(few, "convnet-bn-w8", batch_size=1000, epochs=1))[0]
    network = models.build("convnet-bn-w8", seed=0)
    task = tasks.ImageTask(few, 1000, group=_share(0, 2))
    images, _ = next(task.batches(*(torch.Generator().manual_seed(seed) for seed in (3, 3))))
    assert len(images) == 102
    with torch.no_grad():
        network.train()(images)
    for mine, its in zip(network.buffers(), once[2], strict=True):
        torch.testing.assert_close(mine, its)


class _Dropping(torch.nn.Module):
    """A small network with dropout, whose masks are kept."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.masks = torch.nn.Linear(3 * 28 * 28, 16), torch.nn.Linear(16, 10), []

    def forward(self, images):
        hidden = self.first(images.flatten(1)).relu()
        mask = torch.nn.functional.dropout(torch.ones_like(hidden), 0.5, self.training)
        self.masks += [mask] if self.training else []
        return self.last(hidden * mask)


@pytest.mark.forks
def test_every_process_drops_out_its_own_and_the_same_after_an_interruption(few):
    def work():
        with workers.joined(workers.place("cpu")) as group:

            def trainer():
                torch.manual_seed(0)
                network = _Dropping()
                optimizer = optim.build("sgdm", network.parameters(), lr=0.02)
                return engine.Trainer(network, few, optimizer, batch_size=40, seed=3, group=group)

            whole, resumed = trainer(), trainer()
            whole.run_epoch()
            saved = group.first(lambda: pickle.loads(pickle.dumps(whole.state_dict())))  # as process 0 writes it
            whole.run_epoch()
            resumed.load_state_dict(saved)
            resumed.run_epoch()
            found = [(each.model.masks, list(each.model.state_dict().values())) for each in (whole, resumed)]
            return pickle.loads(pickle.dumps(found))

    first, second = together(work)
    steps = math.ceil(203 / 40)
    for (masks, weights), (masks_after, weights_after) in (first, second):
        assert all(torch.equal(a, b) for a, b in zip(masks[steps:], masks_after, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(weights, weights_after, strict=True))
        assert not torch.equal(masks[0], masks[steps])  # another epoch, other masks
    assert all(torch.equal(a, b) for a, b in zip(first[0][1], second[0][1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first[0][0][: steps - 1], second[0][0], strict=False))


class _Share(workers.Alone):
    def __init__(self, rank, count):
        self.rank, self.count = rank, count

    share = workers.Workers.share


_share = _Share


@pytest.mark.parametrize("kind", ["plain", "augmented", "resized", "streamed"])
def test_the_shares_of_a_batch_are_the_batch(few, kind):
    """Bit for bit, crops included; the weights give every picture the same say."""
    pictures = few._replace(shift=4 * (kind == "augmented"), flip=kind != "plain")
    pictures = pictures._replace(resized=24) if kind in ("resized", "streamed") else pictures

    def batches(group):
        task = tasks.ImageTask(pictures, 40, streamed=kind == "streamed", group=group)
        for images, labels in task.batches(*(torch.Generator().manual_seed(seed) for seed in (1, 2))):
            yield images, labels, task.weight

    sizes = []
    shared = zip(*(batches(_share(rank, 3)) for rank in range(3)), strict=True)
    for (images, labels, weight), parts in zip(batches(workers.ALONE), shared, strict=True):
        assert weight == 1.0
        assert torch.equal(torch.cat([part[0] for part in parts]), images)
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)
        assert [part[2] for part in parts] == [3 * len(part[1]) / len(labels) for part in parts]
        sizes.append([len(part[1]) for part in parts])
    assert sizes == [[14, 13, 13]] * 5 + [[1, 1, 1]]


def test_what_cannot_be_shared_is_refused(few):
    def trainer(pictures=few, count=2, kind=engine.Trainer):
        network = models.build("convnet", seed=0)
        optimizer = optim.build("sgdm", network.parameters(), lr=0.1)
        return kind(network, pictures, optimizer, batch_size=40, group=_share(0, count))

    text = data.load("pydoc")
    with pytest.raises(ValueError, match="several processes train pictures only; start this run without torchrun"):
        trainer(text)
    with pytest.raises(ValueError, match="several processes train in the plain loop only; start this run without"):
        trainer(kind=authors.AuthorsTrainer)
    with pytest.raises(ValueError, match="has 3 pictures, which 4 processes cannot share; start 3 processes or fewer"):
        trainer(count=4)
    assert trainer(count=3)
    with pytest.raises(ValueError, match="evaluated, has 2 pictures"):
        trainer(few._replace(test=tuple(part[:2] for part in few.test)), count=3)


@pytest.mark.forks
def test_what_process_0_does_for_all(tmp_path):
    """It alone calls, the others hear the result or the error; in turn, it is done before they call."""

    def work():
        with workers.joined(workers.place("cpu")) as group:
            heard = group.first(lambda: ("from", group.rank, os.getpid()))
            told = []
            for error in (FileNotFoundError(2, "no data"), training.Stopped("enough", interrupted=True)):
                try:
                    group.first(lambda error=error: _raise(error))
                except (OSError, training.Stopped) as caught:
                    told.append((type(caught), str(caught), getattr(caught, "interrupted", None)))

            def call():
                found = (tmp_path / "packed").exists()
                if group.rank == 0:
                    time.sleep(0.3)
                    (tmp_path / "packed").touch()
                return found

            return heard, told, group.in_turn(call), group.total(torch.tensor([1.0 + group.rank])).item()

    (heard, told, packed, total), other = together(work)
    assert heard[:2] == ("from", 0)
    assert (heard, told, total) == (other[0], other[1], other[3])
    assert told == [(FileNotFoundError, "[Errno 2] no data", None), (training.Stopped, "enough", True)]
    assert (packed, other[2], total) == (False, True, 3.0)


def _raise(error):
    raise error


# --- a recipe to its record


@pytest.fixture
def quick(few, monkeypatch):
    """train(out, **options): a quick recipe on the few digits, with a network without batch norm."""
    monkeypatch.setattr(run.datasets, "load", lambda name, root=None: few)
    monkeypatch.setattr(run.models, "build", lambda *given: models.convnet.ConvNet(10, 4))

    def train(out, **options):
        return training.train(recipes.get(ID, "quick"), 0, out, device="cpu", threads=1, **options)

    return train


def _path(out):
    return records.path(recipes.get(ID, "quick"), 0, out)


def _weights(out):
    return checkpoint.load(_path(out).with_suffix(""))["trainer"]["model"]


def _lasting(record):
    history = {key: value for key, value in record["history"].items() if key != "seconds"}
    return {k: v for k, v in record.items() if k not in ("started", "finished")} | {"history": history}


def _same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one) and one.keys() == other.keys()


@pytest.mark.forks
def test_one_record_that_agrees_with_a_single_processs(quick, tmp_path, monkeypatch):
    written, write = [], files.write
    monkeypatch.setattr(
        files, "write", lambda path, *rest, **more: written.append(path.name) or write(path, *rest, **more)
    )
    first, second = together(lambda: (quick(tmp_path / "two"), written))
    alone = quick(tmp_path / "one")
    record = records.read(_path(tmp_path / "two"))
    assert first[0] == second[0] == record
    assert (len(first[1]), first[1][-1], second[1]) == (5, "seed0.json", [])
    assert (record["processes"], alone.get("processes")) == (2, None)
    assert check.faults(record) == check.faults(record | {"processes": 1}) == []
    schema = json.loads((records.HERE / "schema.json").read_text())
    jsonschema.validate(record, schema)
    assert check.faults(record | {"processes": 0}) == ["processes is 0, not a number from 1 on"]
    with pytest.raises(jsonschema.ValidationError, match="0 is less than the minimum"):
        jsonschema.validate(record | {"processes": 0}, schema)
    pairs = ((record["history"][key], alone["history"][key]) for key in record["history"] if key != "seconds")
    assert all(math.isclose(a, b, rel_tol=1e-3) for pair in pairs for a, b in zip(*pair, strict=True))
    assert [p.name for p in _path(tmp_path / "two").parent.iterdir()] == ["seed0.json"]
    assert together(lambda: quick(tmp_path / "two")) == [record, record]


@pytest.mark.forks
@pytest.mark.parametrize("why", ["budget", "signal"])
def test_all_stop_after_the_same_epoch_and_go_on_bit_for_bit(quick, tmp_path, monkeypatch, why):
    """Process 0 decides: the others have no budget left from the first epoch on, and no signal."""
    together(lambda: quick(tmp_path / "whole", keep=True))
    run_epoch, clock = engine.Trainer.run_epoch, [0.0]

    def an_epoch_of_a_minute(self):
        clock[0] += 1000 if self.group.rank else 60
        if why == "signal" and self.epoch == 1 and self.group.rank == 0:
            signal.raise_signal(signal.SIGTERM)
        return run_epoch(self) | {"seconds": 60.0}

    with monkeypatch.context() as patch:
        patch.setattr(engine.Trainer, "run_epoch", an_epoch_of_a_minute)
        patch.setattr(run, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        budget = 185 if why == "budget" else None
        first, second = together(lambda: quick(tmp_path / "cut", budget=budget))
    assert isinstance(first, training.Stopped), first
    assert (str(first), first.interrupted) == (str(second), second.interrupted)
    assert "after epoch 2 of 4; the same command goes on" in str(first)
    assert first.interrupted is (why == "signal")
    with pytest.raises(ValueError, match="the settings changed since the checkpoint .*processes is 2 there and 1 here"):
        quick(tmp_path / "cut")
    ends = together(lambda: quick(tmp_path / "cut", keep=True))
    assert _lasting(ends[0]) == _lasting(records.read(_path(tmp_path / "whole")))
    assert _same(_weights(tmp_path / "cut"), _weights(tmp_path / "whole"))


@pytest.mark.forks
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_and_the_checkpoint_is_whole(quick, tmp_path, monkeypatch, victim):
    update = engine.Trainer.update

    def killed(self):
        if self.epoch == 3 and self.group.rank == victim:
            os.kill(os.getpid(), signal.SIGKILL)
        update(self)

    with monkeypatch.context() as patch:
        patch.setattr(engine.Trainer, "update", killed)
        ends = together(lambda: quick(tmp_path))
    assert ends[victim] is None
    assert isinstance(ends[1 - victim], training.Lost), ends
    assert "another of the 2 processes has ended" in str(ends[1 - victim])
    assert [epoch for epoch, _ in checkpoint.found(_path(tmp_path).with_suffix(""))] == [2, 1]
    assert records.epochs_run(together(lambda: quick(tmp_path))[0]) == 4


@pytest.mark.forks
def test_an_error_of_process_0_is_everybodys_and_leaves_nothing(quick, tmp_path, monkeypatch):
    def missing(name, root=None):
        raise FileNotFoundError("no data here")

    with checkpoint.locked(_path(tmp_path).with_suffix("")):
        ends = together(lambda: quick(tmp_path))
    assert [type(end) for end in ends] == [training.Busy] * 2
    assert "is training the run in" in str(ends[1])
    monkeypatch.setattr(run.datasets, "load", missing)
    ends = together(lambda: quick(tmp_path))
    assert [(type(end), str(end)) for end in ends] == [(FileNotFoundError, "no data here")] * 2
    assert not list(tmp_path.iterdir())


# --- torchrun and the command line

_SCRIPT = """
import os, signal, sys
from padam import data, cli
from padam.training import engine
load, update = data.load, engine.Trainer.update
def few(name, root=None):
    digits = load(name, root)
    cut = {"train": 300, "test": 50}
    return digits._replace(**{part: tuple(x[:n] for x in getattr(digits, part)) for part, n in cut.items()})
def killed(self):
    if os.environ.get("KILL") == str(self.group.rank) and self.epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    update(self)
data.load, engine.Trainer.update = few, killed
cli.main()
"""


def test_torchrun_ends_with_an_error_after_a_kill_and_the_same_command_finishes(tmp_path):
    (tmp_path / "padam_few.py").write_text(textwrap.dedent(_SCRIPT))
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(tmp_path / "padam_few.py"), "train", ID, "--profile", "quick", "--out", str(tmp_path / "out")]
    command += ["--device", "cpu", "--threads", "1"]
    env = os.environ | {"PADAM_PROGRESS": "1", "OMP_NUM_THREADS": "1"}
    end = warm.run(*command, env=env | {"KILL": "1"}, timeout=300)
    assert end.returncode == 1
    assert end.stderr.count("another of the 2 processes has ended") == 1
    assert end.stderr.count("epoch 1 of 4") == 1
    assert "(SIGKILL)" in end.stderr
    folder = _path(tmp_path / "out").with_suffix("")
    assert [epoch for epoch, _ in checkpoint.found(folder)] == [2, 1]
    assert checkpoint.load(folder)["processes"] == 2
    end = warm.run(*command, env=env, timeout=300)
    assert end.returncode == 0, end.stderr
    assert end.stdout.count("seed 0: finished: train loss") == 1
    assert (end.stderr.count("epoch 2 of 4"), end.stderr.count("epoch 3 of 4")) == (0, 1)
    assert records.read(_path(tmp_path / "out"))["processes"] == 2


def _as_torchrun(monkeypatch, rank):
    """One of four processes on two machines, two on each."""
    env = {"RANK": rank, "WORLD_SIZE": "4", "LOCAL_RANK": str(int(rank) % 2), "LOCAL_WORLD_SIZE": "2"}
    for key, value in (env | {"TORCHELASTIC_RUN_ID": "test"}).items():
        monkeypatch.setenv(key, value)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_only_training_is_for_torchrun_and_process_0_says_so(monkeypatch, rank):
    _as_torchrun(monkeypatch, rank)
    ended = CliRunner().invoke(cli.app, ["reproduce", "table1", "--plan"])
    assert ended.exit_code == 1
    said = "Error: torchrun is for `train`; start the other commands without it.\n"
    assert ended.output == (said if rank == "0" else "")
    ended = CliRunner().invoke(cli.app, ["train", ID, "--plan"])
    assert (ended.exit_code, bool(ended.output)) == (0, rank == "0")


def test_every_process_has_a_card_of_its_own(monkeypatch):
    assert workers.place("cuda:1") == torch.device("cuda:1")
    _as_torchrun(monkeypatch, "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert workers.place("cuda") == torch.device("cuda:1")
    assert workers.place("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="a card of its own, so cuda:0 cannot be asked for; CUDA_VISIBLE_DEVICES"):
        workers.place("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="started 2 processes, but there are 1 cards: give --nproc-per-node 1"):
        workers.place("cuda")


def test_a_process_alone_sets_nothing_up():
    code = "import padam.training.workers as w, sys; print('torch' in sys.modules, w.count(), w.rank(), w.speaks())"
    env = {key: value for key, value in os.environ.items() if key not in ("WORLD_SIZE", "RANK")}
    end = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env | {"WORLD_SIZE": "4"}
    )
    assert end.stdout == "False 1 0 True\n"
    with workers.joined(torch.device("cpu")) as group:
        assert group is workers.ALONE
        assert not torch.distributed.is_initialized()

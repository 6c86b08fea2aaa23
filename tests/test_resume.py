"""Training that can be interrupted: nothing is lost, nothing is done twice, nothing is silent."""

import contextlib
import errno
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import textwrap
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import kill
import pytest
import torch
import warm

from padam import data, files, models, optim, recipes, records, training
from padam.records import check
from padam.training import checkpoint, device, engine, precision, provenance, run

pytestmark = pytest.mark.slow

ID = "cifar10/vgg16/padam"


@pytest.fixture(scope="module")
def few():
    """400 digits to train on and 100 to test, so that an epoch takes a moment."""
    digits = data.load("mnist5k")
    return digits._replace(train=tuple(part[::10] for part in digits.train), test=tuple(p[::10] for p in digits.test))


@pytest.fixture(scope="module")
def pydoc():
    return data.load("pydoc")


@pytest.fixture
def quick(few, monkeypatch):
    """Train a quick recipe on the few digits: train(out, **options); its optimizer steps are counted in `steps`."""
    steps = []
    update = engine.Trainer.update
    monkeypatch.setattr(run.datasets, "load", lambda name, root=None: few)
    monkeypatch.setattr(engine.Trainer, "update", lambda self: (steps.append(self.epoch), update(self)))

    def train(out, id=ID, **options):
        return training.train(recipes.get(id, "quick"), 0, out, device="cpu", threads=1, **options)

    train.steps = steps
    return train


def _folder(out, id=ID):
    return records.path(recipes.get(id, "quick"), 0, out).with_suffix("")


def _weights(out):
    return checkpoint.load(_folder(out))["trainer"]["model"]


def _untimed(record):
    history = {key: value for key, value in record["history"].items() if key != "seconds"}
    return {k: v for k, v in record.items() if k not in ("started", "finished")} | {"history": history}


def _same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one) and one.keys() == other.keys()


def _crash_at(monkeypatch, step):
    """The process dies, so to speak, in the middle of the step-th optimizer step from now."""
    count = iter(range(1, 10**9))
    update = engine.Trainer.update

    def dying(self):
        if next(count) == step:
            raise SystemError("power cut")
        update(self)

    monkeypatch.setattr(engine.Trainer, "update", dying)
    return update


def test_killed_at_random_moments_it_ends_in_the_same_weights(tmp_path):
    """The short version of kill.py: real processes, real SIGKILLs."""
    fallen, _ = kill.siege("ptb/lstm2/padam", tmp_path, 3, random.Random(1))
    assert fallen >= 1


def test_the_same_seed_gives_the_same_record_but_for_times(quick, tmp_path):
    one, two = quick(tmp_path / "1", keep=True), quick(tmp_path / "2", keep=True)
    assert _untimed(one) == _untimed(two)
    assert one["started"] != two["started"]
    assert _same(_weights(tmp_path / "1"), _weights(tmp_path / "2"))
    other = training.train(recipes.get(ID, "quick"), 1, tmp_path / "1", device="cpu", threads=1)
    assert other["history"]["train_loss"] != one["history"]["train_loss"]


def test_at_most_the_running_epoch_is_trained_again(quick, tmp_path, monkeypatch):
    whole = quick(tmp_path / "whole", keep=True)
    total, an_epoch = len(quick.steps), quick.steps.count(1)
    assert total == 4 * an_epoch >= 12
    quick.steps.clear()
    update = _crash_at(monkeypatch, 2 * an_epoch + 2)  # in the third epoch
    with pytest.raises(SystemError):
        quick(tmp_path / "cut")
    monkeypatch.setattr(engine.Trainer, "update", update)
    resumed = quick(tmp_path / "cut", keep=True)
    assert len(quick.steps) == total + 1
    assert quick.steps.count(1) == quick.steps.count(2) == an_epoch
    assert _untimed(resumed) == _untimed(whole)
    assert _same(_weights(tmp_path / "whole"), _weights(tmp_path / "cut"))


def test_a_finished_run_is_not_trained_again_and_its_record_not_touched(quick, tmp_path):
    first = quick(tmp_path)
    path = records.path(recipes.get(ID, "quick"), 0, tmp_path)
    before, steps = path.read_bytes(), len(quick.steps)
    assert quick(tmp_path) == first == json.loads(before)
    assert (path.read_bytes(), len(quick.steps)) == (before, steps)
    assert sorted(p.name for p in path.parent.iterdir()) == ["seed0.json"]  # no checkpoint, no lock


def test_crops_go_on_where_they_were(few):
    """The generators of the shuffle and of the crops are part of the state."""

    def trainer():
        network = models.build("convnet-bn-w8", seed=0)
        pictures = few._replace(shift=4, flip=True)
        return engine.Trainer(network, pictures, optim.build("sgdm", network.parameters(), lr=0.1), seed=3)

    one, two = trainer(), trainer()
    one.run_epoch()
    state = one.state_dict()
    state = json.loads(json.dumps(state["epoch"])) and {key: _copied(value) for key, value in state.items()}
    rows = [one.run_epoch() for _ in range(2)]
    two.load_state_dict(state)
    again = [two.run_epoch() for _ in range(2)]
    assert [row["train_loss"] for row in rows] == [row["train_loss"] for row in again]
    assert _same(one.model.state_dict(), two.model.state_dict())


def _copied(value):
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return type(value)((key, _copied(part)) for key, part in value.items())
    return [_copied(part) for part in value] if isinstance(value, list) else value


def test_training_leaves_the_process_as_it_was(quick, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    quick(tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert (torch.get_num_threads(), signal.getsignal(signal.SIGINT)) == (threads, handler)


# --- stopped on request


def test_ctrl_c_finishes_the_epoch_and_says_how_to_go_on(quick, tmp_path, monkeypatch, capsys):
    train_epoch = engine.Trainer.train_epoch

    def interrupted(self):
        if self.epoch == 2:
            signal.raise_signal(signal.SIGINT)
        return train_epoch(self)

    monkeypatch.setattr(engine.Trainer, "train_epoch", interrupted)
    with pytest.raises(training.Stopped, match="stopped as asked after epoch 2 of 4; the same command goes on") as stop:
        quick(tmp_path)
    assert stop.value.interrupted
    assert "cifar10/vgg16/padam, seed 0: finishing this epoch" in capsys.readouterr().err
    assert checkpoint.found(_folder(tmp_path))[0][0] == 2
    assert quick(tmp_path)["history"]["epoch"] == [1, 2, 3, 4]
    assert quick.steps.count(2) == quick.steps.count(1)


def test_a_second_ctrl_c_stops_at_once_and_loses_that_epoch_only(quick, tmp_path, monkeypatch):
    update = engine.Trainer.update

    def impatient(self):
        if self.epoch == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        update(self)

    monkeypatch.setattr(engine.Trainer, "update", impatient)
    with pytest.raises(
        training.Stopped, match="stopped at once. The same command goes on from the last epoch that was written"
    ):
        quick(tmp_path)
    assert checkpoint.found(_folder(tmp_path))[0][0] == 2
    monkeypatch.setattr(engine.Trainer, "update", update)
    assert records.epochs_run(quick(tmp_path)) == 4


_RARE = """
import os, signal, sys
from padam import data, recipes, training
from padam.training import checkpoint, engine, run
load, save, train_epoch = data.load, checkpoint.save, engine.Trainer.train_epoch
def few(name, root=None):
    digits = load(name, root)
    cut = {"train": 300, "test": 50}
    return digits._replace(**{part: tuple(x[:n] for x in getattr(digits, part)) for part, n in cut.items()})
def signal_at(place):
    for _ in range(sys.argv[2].split().count(place)):
        os.kill(os.getpid(), signal.SIGINT)
def trained(self):
    signal_at(f"epoch{self.epoch}")
    return train_epoch(self)
def saved(*given):
    signal_at("save")
    save(*given)
data.load, checkpoint.save, engine.Trainer.train_epoch = few, saved, trained
run._Run._save_if_due = lambda self: None  # as on a GPU whose epochs are short
try:
    record = training.train(recipes.get("cifar10/vgg16/padam", "quick"), 0, sys.argv[1], device="cpu", threads=1)
    print("epochs:", len(record["history"]["epoch"]))
except training.Stopped as stop:
    print(stop)
"""


def test_a_second_ctrl_c_while_the_only_checkpoint_is_written_loses_nothing(tmp_path):
    """Real signals, to a run that writes as rarely as one on a GPU may: only where it stops, and at its end."""
    end = warm.run("-c", _RARE, tmp_path, "epoch2 save save")
    assert end.stdout == f"{ID}, seed 0: stopped as asked after epoch 2 of 4; the same command goes on.\n"
    assert end.stderr.count("finishing this epoch") == 1
    assert end.stderr.count("writing the checkpoint, then stopping.") == 2
    assert [epoch for epoch, _ in checkpoint.found(_folder(tmp_path))] == [2]
    end = warm.run("-c", _RARE, tmp_path, "save save")  # the last epoch has ended: there is nothing left to stop
    assert end.stdout == "epochs: 4\n"
    assert "Traceback" not in end.stderr


def test_a_budget_stops_before_it_is_spent(quick, tmp_path, monkeypatch):
    whole = quick(tmp_path / "whole")
    clock = [0.0]
    run_epoch = engine.Trainer.run_epoch

    def an_epoch_of_a_minute(self):
        clock[0] += 60
        return run_epoch(self) | {"seconds": 60.0}

    monkeypatch.setattr(engine.Trainer, "run_epoch", an_epoch_of_a_minute)
    monkeypatch.setattr(run.time, "monotonic", lambda: clock[0])
    with pytest.raises(training.Stopped, match="before its budget is spent after epoch 2 of 4") as stop:
        quick(tmp_path / "cut", budget=185)
    assert (clock[0], stop.value.interrupted) == (120, False)
    assert _untimed(quick(tmp_path / "cut")) == _untimed(whole)


# --- faults


def test_a_run_that_diverges_is_a_record_not_a_crash(quick, tmp_path, monkeypatch):
    train_epoch = engine.Trainer.train_epoch

    def poisoned(self):
        if self.epoch == 3:
            with torch.no_grad():
                next(self.model.parameters()).fill_(float("nan"))
        return train_epoch(self)

    monkeypatch.setattr(engine.Trainer, "train_epoch", poisoned)
    record = quick(tmp_path)
    assert record["outcome"] == "diverged"
    assert (records.epochs_run(record), record["recipe"]["epochs"]) == (3, 4)
    assert record["history"]["train_loss"][2] is None is records.final(record)["train_loss"]
    assert record["history"]["train_loss"][1] is not None
    assert records.read(records.path(recipes.get(ID, "quick"), 0, tmp_path)) == record


def _stopped_after(quick, out, epochs, monkeypatch):
    """Train so many epochs, then stop: checkpoints are left."""
    run_epoch = engine.Trainer.run_epoch

    def stopping(self):
        if self.epoch == epochs:
            raise SystemError("stop here")
        return run_epoch(self)

    monkeypatch.setattr(engine.Trainer, "run_epoch", stopping)
    with pytest.raises(SystemError):
        quick(out)
    monkeypatch.setattr(engine.Trainer, "run_epoch", run_epoch)


def test_two_checkpoints_are_kept_and_they_load_as_weights_only(quick, tmp_path, monkeypatch):
    _stopped_after(quick, tmp_path, 3, monkeypatch)
    found = checkpoint.found(_folder(tmp_path))
    assert [epoch for epoch, _ in found] == [3, 2]
    state = torch.load(found[0][1], weights_only=True)
    assert state["recipe"] == recipes.get(ID, "quick").values()
    assert {"model", "optimizer", "order", "augmentation", "cpu", "epoch"} <= set(state["trainer"])


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_serves(quick, tmp_path, monkeypatch):
    whole = quick(tmp_path / "whole", keep=True)
    _stopped_after(quick, tmp_path, 3, monkeypatch)
    newest = checkpoint.found(_folder(tmp_path))[0][1]
    raw = bytearray(newest.read_bytes())
    raw[len(raw) // 2] ^= 1
    newest.write_bytes(raw)
    with pytest.warns(UserWarning, match="is damaged .* set aside as .*damaged, and the one before it is taken"):
        resumed = quick(tmp_path, keep=True)
    assert _untimed(resumed) == _untimed(whole)
    assert _same(_weights(tmp_path / "whole"), _weights(tmp_path))


def test_when_both_checkpoints_are_damaged_it_says_what_to_do(quick, tmp_path, monkeypatch):
    _stopped_after(quick, tmp_path, 3, monkeypatch)
    for _, path in checkpoint.found(_folder(tmp_path)):
        path.write_bytes(path.read_bytes()[:1000])
    said = pytest.raises(ValueError, match="no checkpoint in .* is whole.*Remove that folder to start it again")
    with pytest.warns(UserWarning, match="is damaged"), said:
        quick(tmp_path)
    for _ in range(2):  # nor is it begun again when it is asked again
        with said:
            quick(tmp_path)
    assert len(list(_folder(tmp_path).glob("epoch-*.damaged"))) == 2
    shutil.rmtree(_folder(tmp_path))
    assert records.epochs_run(quick(tmp_path)) == 4


def _written_without(path, name):
    """A checkpoint written anew without a key, or with bytes that torch cannot read; its digest is right."""
    state, epoch, folder = torch.load(path, weights_only=True), checkpoint.found(path.parent)[0][0], path.parent
    path.unlink()
    if name is None:
        raw = b"no checkpoint"
        (folder / f"epoch-{epoch:05d}-{checkpoint._digest(raw)}.pt").write_bytes(raw)
        return
    *outer, last = name.split(".")
    del (state[outer[0]] if outer else state)[last]
    checkpoint.save(folder, epoch, state)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (None, "torch cannot read it"),
        ("sources", "it holds no sources"),
        ("trainer.order", "it holds no trainer.order"),
    ],
)
def test_a_checkpoint_that_holds_something_else_is_set_aside(quick, tmp_path, monkeypatch, name, why):
    _stopped_after(quick, tmp_path, 3, monkeypatch)
    _written_without(checkpoint.found(_folder(tmp_path))[0][1], name)
    quick.steps.clear()
    with pytest.warns(UserWarning, match=f"is damaged .{why}.*the one before it is taken"):
        quick(tmp_path, keep=True)
    assert (quick.steps.count(2), quick.steps.count(3) > 0) == (0, True)
    assert [epoch for epoch, _ in checkpoint.found(_folder(tmp_path))] == [4, 3]


def test_a_checkpoint_of_another_network_is_not_gone_on_from(quick, tmp_path, monkeypatch):
    _stopped_after(quick, tmp_path, 1, monkeypatch)
    ((_, path),) = checkpoint.found(_folder(tmp_path))
    state = torch.load(path, weights_only=True)
    state["trainer"]["model"] = {"weight": torch.zeros(3)}
    path.unlink()
    checkpoint.save(path.parent, 1, state)
    with pytest.raises(ValueError, match="not one of this network and its optimizer .*Remove that folder"):
        quick(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_during_a_checkpoint_loses_nothing(quick, tmp_path, monkeypatch, code):
    whole = quick(tmp_path / "whole")
    fsync, calls = os.fsync, iter(range(100))

    def failing(descriptor):
        if next(calls) == 4:  # the third checkpoint's file: each syncs its file and its folder
            raise OSError(code, os.strerror(code))
        return fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", failing)
    with pytest.raises(OSError, match="epoch-00003.*cannot be written .*What was there before is untouched"):
        quick(tmp_path / "cut")
    folder = _folder(tmp_path / "cut")
    assert [epoch for epoch, _ in checkpoint.found(folder)] == [2, 1]
    assert not list(folder.glob(".*"))
    monkeypatch.setattr(files.os, "fsync", fsync)
    assert _untimed(quick(tmp_path / "cut")) == _untimed(whole)


def test_a_real_limit_on_the_size_of_files_leaves_nothing_half_written(tmp_path):
    """RLIMIT_FSIZE stands in for a full disk: the write itself fails in the middle."""

    code = """
        import resource, signal, sys, torch
        from padam.training import checkpoint
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        checkpoint.save(sys.argv[1], 1, {"x": torch.zeros(10)})
        try:
            checkpoint.save(sys.argv[1], 2, {"x": torch.zeros(10**6)})
        except OSError as error:
            print("said:", error)
    """
    done = warm.run("-c", textwrap.dedent(code), tmp_path)
    assert "cannot be written (File too large)" in done.stdout
    assert [epoch for epoch, _ in checkpoint.found(tmp_path)] == [1]
    assert len(list(tmp_path.iterdir())) == 1
    assert checkpoint.load(tmp_path)["x"].shape == (10,)


def test_a_full_disk_at_the_record_keeps_the_last_checkpoint(quick, tmp_path, monkeypatch):
    write = files.write

    def failing(path, raw, exclusive=False):
        if path.suffix == ".json":
            raise OSError(errno.ENOSPC, f"{path} cannot be written")
        write(path, raw, exclusive)

    monkeypatch.setattr(files, "write", failing)
    with pytest.raises(OSError, match="json cannot be written"):
        quick(tmp_path)
    steps = len(quick.steps)
    monkeypatch.setattr(files, "write", write)
    assert records.epochs_run(quick(tmp_path)) == 4
    assert len(quick.steps) == steps  # nothing was trained again


def test_two_processes_cannot_train_one_run(quick, tmp_path):
    with checkpoint.locked(_folder(tmp_path)):
        assert checkpoint.running(_folder(tmp_path))
        with pytest.raises(
            training.Busy, match=f"another process .{os.getpid()} on {socket.gethostname()}. is training"
        ):
            quick(tmp_path)
    assert not checkpoint.running(_folder(tmp_path))
    assert records.epochs_run(quick(tmp_path)) == 4


def _flock(monkeypatch, *, error=None, before=lambda descriptor: None):
    """The system's locks are as a file system has them that calls `before`, and raises `error` unless it is None."""
    flock = fcntl.flock

    def locked(descriptor, operation):
        before(descriptor)
        if error is not None:
            raise OSError(error, os.strerror(error))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", locked)


def test_a_lock_whose_file_is_gone_is_no_lock(tmp_path, monkeypatch):
    """Another process finished between our opening the file and our taking the lock."""
    _flock(monkeypatch, before=lambda descriptor: (tmp_path / "lock").unlink(missing_ok=True))
    with pytest.raises(training.Busy, match="held by"), files.held(tmp_path / "lock", "held by {holder}"):
        pytest.fail("held a file that is gone")


def test_a_lock_goes_with_its_process_however_it_ends(tmp_path):
    """SIGKILL as well; and while it lives, whoever comes is told which process on which machine it is."""
    code = """
        import pathlib, sys, time
        from padam import files
        with files.held(pathlib.Path(sys.argv[1]), ""):
            print("held", flush=True)
            time.sleep(60)
    """
    lock = tmp_path / "lock"
    process = warm.Process("-c", textwrap.dedent(code), lock)
    assert process.stdout.readline() == "held\n"
    assert files.is_held(lock)
    with pytest.raises(training.Busy) as busy, files.held(lock, "held by {holder}"):
        pytest.fail("held by two")
    assert str(busy.value) == f"held by {process.pid} on {socket.gethostname()}"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not files.is_held(lock)
    with files.held(lock, ""):
        assert files.is_held(lock)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_where_files_cannot_be_locked_a_warning_says_so_and_it_goes_on(quick, tmp_path, monkeypatch, code):
    _flock(monkeypatch, error=code)
    with pytest.warns(UserWarning, match="this file system cannot lock files: do not train one run"):
        assert records.epochs_run(quick(tmp_path)) == 4
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["seed0.json"]
    (tmp_path / "lock").touch()
    assert not files.is_held(tmp_path / "lock")


def test_a_lock_is_seen_on_nfs(tmp_path, monkeypatch):
    """There, what is locked for one process alone must be open for writing."""

    def nfs(descriptor):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    _flock(monkeypatch, before=nfs)
    with checkpoint.locked(tmp_path / "run"):
        assert checkpoint.running(tmp_path / "run")
    assert not checkpoint.running(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").touch()  # a killed process has left it
    assert not checkpoint.running(tmp_path / "run")


def test_what_cannot_begin_leaves_nothing_behind(quick, tmp_path, monkeypatch):
    def missing(name, root=None):
        raise FileNotFoundError("no data here")

    monkeypatch.setattr(run.datasets, "load", missing)
    with pytest.raises(FileNotFoundError, match="no data here"):
        quick(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out" / "quick").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no data here"):
        quick(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["quick"]  # what was there stays


def test_a_folder_that_cannot_be_made_is_said(quick, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OSError, match="cannot be written .*; choose another --out"):
        quick(tmp_path / "out")


def test_cuda_is_made_deterministic_and_left_as_it_was():
    """What it sets can be looked at without a GPU."""
    cudnn = torch.backends.cudnn
    with cudnn.flags(cudnn.enabled, benchmark=True, deterministic=False):
        with device.deterministic(torch.device("cuda")):
            assert (cudnn.benchmark, cudnn.deterministic) == (False, True)
            assert torch.are_deterministic_algorithms_enabled()
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
            assert not torch.utils.deterministic.fill_uninitialized_memory
        assert torch.utils.deterministic.fill_uninitialized_memory
        assert (cudnn.benchmark, cudnn.deterministic) == (True, False)
    assert not torch.are_deterministic_algorithms_enabled()
    with device.deterministic(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_run_keeps_to_its_own_card(monkeypatch, quick, tmp_path):
    """The first thing it does is to make the card the current one; generators of other cards are not touched."""
    forked, fork_rng, seeded = [], torch.random.fork_rng, []
    monkeypatch.setattr(
        torch.random, "fork_rng", lambda devices, **more: forked.append(devices) or fork_rng([], **more)
    )
    quick(tmp_path)
    with device.own_generators(torch.device("cuda:1")):
        pass
    assert forked.pop() == [torch.device("cuda:1")]
    assert forked
    assert not any(devices is None or devices for devices in forked)
    assert device.on_card(torch.device("cuda:1")).idx == 1
    with device.on_card(torch.device("cpu")) as nothing:
        assert nothing is None
    monkeypatch.setattr(device, "on_card", lambda of: seeded.append(of) or contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeded every card"))
    device.seed_generators(7, torch.device("cuda:1"))
    device.seed_generators(7, torch.device("cpu"))
    assert seeded == [torch.device("cuda:1"), 7]
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(7)))

    def current(of):
        raise SystemError(f"current: {of}")

    monkeypatch.setattr(run, "on_card", current)
    with pytest.raises(SystemError, match="current: cuda:1"):
        training.train(recipes.get(ID, "quick"), 0, tmp_path / "other", device="cuda:1")


def test_a_record_of_cuda_says_whether_tf32_was_allowed(quick, tmp_path, monkeypatch):
    """A CPU that says it is a GPU stands for one."""
    recorded = run._Run._record

    def on_a_gpu(self):
        self.trainer.device = SimpleNamespace(type="cuda")
        return recorded(self)

    assert "tf32" not in quick(tmp_path / "cpu")
    monkeypatch.setattr(run._Run, "_record", on_a_gpu)
    record = quick(tmp_path / "cuda")
    assert record["tf32"] == {"matmul": "highest", "cudnn": torch.backends.cudnn.allow_tf32}
    assert check.faults(record) == []
    jsonschema.validate(record, json.loads((records.HERE / "schema.json").read_text()))


def test_a_record_is_never_overwritten(tmp_path):
    path = tmp_path / "seed0.json"
    files.write(path, b"first", exclusive=True)
    with pytest.raises(FileExistsError, match=r"seed0.json is there already and is not overwritten"):
        files.write(path, b"second", exclusive=True)
    assert path.read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_another_recipes_record_is_not_taken_for_this_one(quick, tmp_path):
    """The quick profile trains both on digits; each has its own record."""
    other, record = quick(tmp_path, id="cifar100/vgg16/padam"), quick(tmp_path)
    assert [one["recipe"]["id"] for one in (other, record)] == ["cifar100/vgg16/padam", ID]
    assert records.read(records.path(recipes.get("cifar100/vgg16/padam", "quick"), 0, tmp_path)) == other


def test_a_changed_recipe_is_refused_with_what_changed(quick, tmp_path, monkeypatch):
    _stopped_after(quick, tmp_path, 2, monkeypatch)
    get = recipes.get

    def changed(id, profile):
        recipe = get(id, profile)
        return type(recipe)(**{**vars(recipe), "batch_size": 64})

    monkeypatch.setattr(recipes, "get", changed)
    with pytest.raises(
        ValueError, match="the recipe changed since the checkpoint .*batch_size is 128 there and 64 here"
    ):
        quick(tmp_path)
    monkeypatch.setattr(recipes, "get", get)
    assert records.epochs_run(quick(tmp_path)) == 4


def test_changed_data_are_refused(quick, few, tmp_path, monkeypatch):
    _stopped_after(quick, tmp_path, 2, monkeypatch)
    pictures = few.train[0].clone()
    pictures[7, 0, 3, 3] ^= 1
    monkeypatch.setattr(run.datasets, "load", lambda name, root=None: few._replace(train=(pictures, few.train[1])))
    with pytest.raises(ValueError, match="the data changed since the checkpoint .*sha256 is"):
        quick(tmp_path)


def test_a_run_keeps_its_number_of_threads_unless_it_is_given_another(quick, tmp_path, monkeypatch):
    """Which a warning and the record say."""
    _stopped_after(quick, tmp_path, 1, monkeypatch)
    recipe, schema = recipes.get(ID, "quick"), json.loads((records.HERE / "schema.json").read_text())
    shutil.copytree(tmp_path, tmp_path.with_name("other"))
    torch.set_num_threads(2)
    try:
        record = training.train(recipe, 0, tmp_path, device="cpu")
        assert (record["threads"], "threads_used" in record, torch.get_num_threads()) == (1, False, 2)
    finally:
        torch.set_num_threads(1)
    changes = pytest.warns(UserWarning, match="threads changed .*1 there and 2 here.: sums are taken in another order")
    with changes, pytest.raises(training.Stopped):
        training.train(recipe, 0, tmp_path.with_name("other"), device="cpu", threads=2, budget=1e-3)
    with changes:
        record = training.train(recipe, 0, tmp_path.with_name("other"), device="cpu", threads=2)
    assert (record["threads"], record["threads_used"]) == (2, [1, 2])
    assert check.faults(record) == []
    jsonschema.validate(record, schema)
    assert check.faults(record | {"threads": 1}) == [
        "threads_used is [1, 2], not several numbers of which the last is threads"
    ]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record | {"threads_used": [2]}, schema)


def test_on_a_gpu_the_number_of_threads_is_not_worth_a_word(quick, tmp_path, monkeypatch):
    """The record lists the numbers all the same; a CPU that says it is a GPU stands for one."""
    _stopped_after(quick, tmp_path, 2, monkeypatch)
    resume = run._Run._resume

    def on_a_gpu(self, *given):
        self.trainer.device = SimpleNamespace(type="cuda")
        with monkeypatch.context() as patch:
            patch.setattr(engine.Trainer, "load_state_dict", lambda self, state: None)
            resume(self, *given)
        self.trainer.device = torch.device("cpu")
        self.trainer.epoch = 2

    monkeypatch.setattr(run._Run, "_resume", on_a_gpu)
    record = training.train(recipes.get(ID, "quick"), 0, tmp_path, device="cpu", threads=2)
    assert record["threads_used"] == [1, 2]


def test_changed_code_warns_and_the_record_lists_both(quick, tmp_path, monkeypatch):
    _stopped_after(quick, tmp_path, 2, monkeypatch)
    before = provenance.source_hash()
    monkeypatch.setattr(provenance, "source_hash", lambda: "0" * 64)
    with pytest.warns(UserWarning, match="the code changed since the checkpoint"):
        record = quick(tmp_path)
    assert record["source_hash"] == [before, "0" * 64]


def test_a_run_that_moved_lists_its_devices(quick, tmp_path, monkeypatch):
    _stopped_after(quick, tmp_path, 2, monkeypatch)
    here = provenance.device_name(torch.device("cpu"))
    monkeypatch.setattr(provenance, "device_name", lambda device: "Another processor")
    assert quick(tmp_path)["device"] == f"{here}, Another processor"


def test_leftovers_of_a_killed_writer_are_swept(quick, tmp_path, monkeypatch):
    _stopped_after(quick, tmp_path, 2, monkeypatch)
    folder = _folder(tmp_path)
    shutil.copy(checkpoint.found(folder)[0][1], folder / ".epoch-00003-0123456789abcdef.pt.1.part")
    quick(tmp_path, keep=True)
    assert not list(folder.glob(".*.part"))


def test_half_precision_is_for_cuda(quick, tmp_path):
    with pytest.raises(ValueError, match="bf16 is for CUDA; on cpu it would only be slower. Use fp32 or auto"):
        quick(tmp_path, precision="bf16")
    with pytest.raises(ValueError, match="no precision is called 'fp8'; there are auto, fp32, bf16, fp16"):
        quick(tmp_path, precision="fp8")


@pytest.mark.parametrize(
    ("capability", "text", "chosen"), [((9, 0), False, "bf16"), ((7, 5), False, "fp16"), ((9, 0), True, "fp32")]
)
def test_texts_are_trained_in_float32_unless_they_are_told_otherwise(
    pydoc, quick, tmp_path, monkeypatch, capability, text, chosen
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    cuda, choose, seen = torch.device("cuda"), precision.choose, []
    assert precision.choose("auto", cuda, text) == chosen
    assert precision.choose("bf16", cuda, text) == "bf16"
    monkeypatch.setattr(precision, "choose", lambda *given: seen.append(given[2]) or choose(*given))
    if text:
        monkeypatch.setattr(run.datasets, "load", lambda name, root=None: pydoc)
    with pytest.raises(training.Stopped):
        quick(tmp_path, id="ptb/lstm2/padam" if text else ID, budget=1e-3)
    assert seen == [text]


def test_two_machines_may_have_processes_of_one_number(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "getpid", lambda: 7)
    parts, fsync = [], os.fsync

    def meanwhile(descriptor):
        if not parts:
            parts.extend(path.name for path in tmp_path.glob(".*.part"))
            files.write(tmp_path / "record.json", b"the other's")
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", meanwhile)
    files.write(tmp_path / "record.json", b"ours")
    assert (tmp_path / "record.json").read_bytes() == b"ours"
    assert len(parts) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_what_is_removed_is_emptied_first(tmp_path, monkeypatch):
    sizes, unlink = [], Path.unlink

    def seen(path, **more):
        if path.exists():
            sizes.append(path.stat().st_size)
        unlink(path, **more)

    monkeypatch.setattr(Path, "unlink", seen)
    for epoch in range(1, 5):
        checkpoint.save(tmp_path, epoch, {"weights": torch.ones(1000)})
    checkpoint.remove(tmp_path)
    assert not tmp_path.exists()
    assert [size for size in sizes if size] == []
    assert len(sizes) >= 4

"""What every test shares: one thread, no progress bars, and gradients that look like real ones."""

import contextlib
import http.server
import os
import re
import threading

os.environ.setdefault("PADAM_PROGRESS", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait take the other worker's core
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile("padam", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("padam")


def _gradients(steps, shape, *, seed=0, zeros=0.6, dtype=np.float64):
    """Noise whose scale differs by coordinate over five decades, mostly exact zeros, the first row without any."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-5, 0, size=shape)
    g = rng.normal(size=(steps, *shape)) * scale
    g[1:][rng.random(size=g[1:].shape) < zeros] = 0.0
    return g.astype(dtype)


@pytest.fixture
def gradients():
    """A function (steps, shape, *, seed, zeros, dtype) -> array (steps, *shape)."""
    return _gradients


def pytest_ignore_collect(collection_path, config):
    """Where slow tests are not wanted (`make check`), a file of nothing else is not even imported."""
    if config.getoption("markexpr") == "not slow" and collection_path.suffix == ".py":
        return bool(re.search(r"^pytestmark = (\[\s*)?pytest\.mark\.slow", collection_path.read_text(), re.M)) or None
    return None


def pytest_collection_modifyitems(items):
    """Tests that fork are run by a test of their file, in a process of its own."""
    for item in items:
        if item.get_closest_marker("forks") and os.environ.get("PADAM_FORKS") != "1":
            item.add_marker(pytest.mark.skip(reason="forks: run by another test, in a process of its own"))


@pytest.fixture
def power_cut(monkeypatch):
    """A function (call, epoch): call it, and die as soon as the checkpoint of that epoch is written."""
    from padam.training import run

    def dying(call, epoch):
        save = run._Run._save_if_new

        def once(self):
            save(self)
            if self.trainer.epoch == epoch:
                raise SystemError("power cut")

        with monkeypatch.context() as patch:
            patch.setattr(run._Run, "_save_if_new", once)
            with pytest.raises(SystemError, match="power cut"):
                call()

    return dying


@contextlib.contextmanager
def serving(handler):
    """An HTTP server on this machine while the block lasts, answering with `handler`; ends with its thread."""
    listener = http.server.HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield listener
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()

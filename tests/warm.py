"""Processes that need not import torch again, which takes seconds: forked from one that has, and has done nothing else.

`Process("-m", "padam", "list")` is what `subprocess.Popen([sys.executable, "-m", "padam", "list"])` is with text pipes,
and `run` what `subprocess.run` is. Where processes cannot be forked, they are spawned.
"""

import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import types
import warnings

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(METHOD)
if METHOD == "forkserver":
    # Nothing of padam, so that a process imports the one on its own path; nothing that starts threads.
    CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "matplotlib.pyplot", "hypothesis", "pytest", "typer"])


def _begin(words, folder, env, pipes, own_group):
    for number, pipe in enumerate(pipes, 1):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    if own_group:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    if words[0] == "-W":
        warnings.simplefilter(words[1])
        words = words[2:]
    what, *rest = words
    if what == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        sys.argv, main = ["-c", *rest[1:]], types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = words
        runpy.run_path(what, run_name="__main__")


class Process:
    """A Python process with the words of its command line, as subprocess.Popen names what it has.

    Args:
        words: what follows `python`: -c CODE, -m MODULE or a file, with arguments; -W ignore may come first.
        cwd: its folder, default this one's.
        env: its environment, default this one's as it is now.
        start_new_session: whether it leads a group of its own.
    """

    def __init__(self, *words, cwd=None, env=None, start_new_session=False):
        mine, its = zip(*(CONTEXT.Pipe(duplex=False) for _ in range(2)), strict=True)
        given = [*map(str, words)], str(cwd or os.getcwd()), dict(env or os.environ), its, start_new_session
        self._process = CONTEXT.Process(target=_begin, args=given)
        self._process.start()
        for pipe in its:
            pipe.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(pipe.fileno()), encoding="utf-8") for pipe in mine)
        for pipe in mine:
            pipe.close()
        self.pid, self._readers, self._texts = self._process.pid, [], {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stdout.close()
        self.stderr.close()
        self.wait()

    @property
    def returncode(self):
        """Its exit status, minus a signal's number if that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        """Its exit status; TimeoutExpired if it is not there within so many seconds."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout)
        return self.returncode

    def communicate(self, timeout=None):
        """(stdout, stderr) to their ends; TimeoutExpired if they have none within so many seconds, then call again."""
        if not self._readers:
            files = {"out": self.stdout, "said": self.stderr}
            self._readers = [threading.Thread(target=self._read, args=given, daemon=True) for given in files.items()]
            for reader in self._readers:
                reader.start()
        for reader in self._readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(str(self._process), timeout)
        self.wait(timeout)
        return self._texts["out"], self._texts["said"]

    def _read(self, name, file):
        with file:
            self._texts[name] = file.read()

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)


def run(*words, timeout=600, **options):
    """subprocess.CompletedProcess of a `Process` that has ended; after TimeoutExpired nothing of it is left."""
    with Process(*words, start_new_session=True, **options) as process:
        try:
            out, said = process.communicate(timeout)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it has started too, which may hold the pipes open
            process.communicate()
            raise
        return subprocess.CompletedProcess(words, process.returncode, out, said)


def suite(path, *options, env=None, **where):
    """`run` of pytest on a file, to the first failure; without plugins, which no test needs and which take a second."""
    env = {**os.environ, **(env or {}), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return run("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *options, path, env=env, **where)

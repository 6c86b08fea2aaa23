"""A runner: jobs one after another or several at a time, each in a process of its own on this machine.

Another runner, for Ray or Slurm, takes the same `Job` and gives the same `Outcome`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

START = 10  # seconds that a process takes to begin: less than that is no use
ALIKE = 3  # so many failures in a row with the same message, and the rest would fail, too
FINISHED, STOPPED, BUSY, INTERRUPTED = 0, 3, 4, 130  # what a job's process ends with; anything else is a failure
_ENDS = (STOPPED, INTERRUPTED, -signal.SIGINT)  # after these no further job begins; the last is Ctrl-C before a run has
# Why no further job begins: `Local.ending`.
BY_SIGNAL, BY_BUDGET, BY_RUN, BY_FAILURES = "signal", "budget", "run", "failures"
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
FOLLOWED = "PADAM_RUNNER"  # in the environment of a process that a runner has begun


@dataclass(frozen=True)
class Job:
    """One process's work; `words` follow "python" on its command line.

    `standing()` is asked right before it begins: None if it is to be made, `FINISHED` if its record is there, `BUSY` if
    another process is at it.
    """

    label: str
    words: tuple
    standing: Callable[[], int | None] = lambda: None


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with which exit status, after which last words; `begun` is False where it was made elsewhere."""

    job: Job
    status: int
    error: str = ""
    begun: bool = True

    @property
    def failed(self):
        """Whether it ended with an error, or was killed."""
        return self.status not in (FINISHED, BUSY, *_ENDS)


class Local:
    """Runs jobs on this machine.

    Args:
        jobs: each a `Job`, in order.
        slots: how many at a time.
        budget: seconds for all of it; a process is told with --budget what is left of it.
        cards: how many CUDA devices the slots share, each slot one of them; 0 leaves the environment as it is.
        say: called with each line that a process writes to stderr; what it raises is ignored.
        more: called with the outcomes when all jobs have ended, and nothing speaks against further ones: returns those,
            which are run, too, or none.

    A job that fails does not stop the others, unless `ALIKE` in a row end with the same message. The first Ctrl-C,
    SIGTERM or SIGHUP is passed on, so that every run finishes its epoch; the second ends them at once. Then no other
    job begins. Where this process is killed, it is as if Ctrl-C had been pressed (`follow`).

    `ending` says why jobs were left: `BY_SIGNAL`, `BY_BUDGET`, `BY_RUN` (one was stopped) or `BY_FAILURES`, else "".
    """

    def __init__(self, jobs, slots=1, budget=None, cards=0, say=lambda line: None, more=lambda outcomes: ()):
        self.todo, self.slots, self.cards, self.say, self.more = list(jobs), slots, cards, say, more
        self.deadline = None if budget is None else time.monotonic() + budget
        self.lock, self.processes, self.interrupted = threading.RLock(), set(), False
        self.ended, self.at_work = threading.Condition(self.lock), 0  # told of each job's end; how many have not ended
        self.ending, self.alike = "", []  # the last failures' messages
        self.complete, self.outcomes, self.error = False, [], None

    def run(self):
        """Work until all is done, the budget is spent or Ctrl-C; returns [`Outcome`, ...] as they ended.

        What `more` raises is raised here, when the jobs have ended.
        """
        threads = [threading.Thread(target=self._work, args=[slot], daemon=True) for slot in range(self.slots)]
        with self._signals_caught():
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.1)
        if self.error is not None:
            raise self.error
        return self.outcomes

    @contextlib.contextmanager
    def _signals_caught(self):
        # A signal that is ignored, as SIGHUP under nohup, stays so.
        caught = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._signalled) for number in caught}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _signalled(self, number, frame):
        with self.lock:  # no process is just being started then
            self.interrupted, self.ending = True, BY_SIGNAL
            for process in self.processes:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)

    def _work(self, slot):
        while (job := self._next()) is not None:
            try:
                outcome = self._outcome(job, slot)
            except Exception as error:  # ours, not the run's: told like the run's, and the other jobs go on
                outcome = Outcome(job, 1, f"{type(error).__name__}: {error}")
            with self.ended:
                self.outcomes.append(outcome)
                self._think_of_the_next(outcome)
                self.at_work -= 1
                self.ended.notify_all()

    def _next(self):
        """The next job, as soon as it is known; None if there will be none."""
        with self.ended:
            while True:
                if self.deadline is not None and time.monotonic() > self.deadline - START:
                    self.ending = self.ending or BY_BUDGET
                if not (self.todo or self.at_work or self.ending or self.complete):
                    self._ask_for_more()
                if self.todo and not self.ending:
                    self.at_work += 1
                    return self.todo.pop(0)
                if self.ending or not self.at_work:
                    self.ended.notify_all()
                    return None
                self.ended.wait()

    def _ask_for_more(self):
        try:
            self.todo += self.more(self.outcomes)
            self.complete = not self.todo
        except Exception as error:
            self.error, self.ending = error, BY_FAILURES

    def _think_of_the_next(self, outcome):
        if outcome.status in _ENDS:
            self.ending = self.ending or BY_RUN
        self.alike = [*self.alike, outcome.error] if outcome.failed else []
        last = self.alike[-ALIKE:]
        if len(last) == ALIKE and last[0] and len(set(last)) == 1:
            self.ending = self.ending or BY_FAILURES

    def _outcome(self, job, slot):
        if (standing := job.standing()) is not None:
            return Outcome(job, standing, begun=False)
        command, env = [sys.executable, *job.words], os.environ | {FOLLOWED: "1"}
        if self.deadline is not None:
            command += ["--budget", f"{max(self.deadline - time.monotonic(), 1):.0f}s"]
        if self.cards:
            env["CUDA_VISIBLE_DEVICES"] = _card(slot, self.cards)
        # In a session of its own, Ctrl-C reaches it through us alone, once for each time it was pressed.
        with self.lock:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # which ends when this process does
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=env,
                start_new_session=True,
            )
            self.processes.add(process)
            if self.interrupted:  # since the job was taken
                process.send_signal(signal.SIGINT)
        last = ""
        with process:
            for line in filter(str.strip, process.stderr):
                last = line.strip()
                with contextlib.suppress(Exception):  # nobody may be listening any more
                    self.say(line.rstrip("\n"))
            with self.lock:
                self.processes.discard(process)
        return Outcome(job, process.returncode, last)


def follow():
    """In a process that a `Local` has begun: when that is gone, however it ended, it is as if Ctrl-C was pressed here.

    In any other process nothing happens.
    """
    if os.environ.pop(FOLLOWED, None):
        threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end():
    while os.read(0, 1):
        pass
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # nobody reads any more what is said, and that is no error
    os.kill(os.getpid(), signal.SIGINT)


def _card(slot, cards):
    """The slot's own of the cards that this process sees."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name for name in seen.split(",") if name] or [str(card) for card in range(cards)]
    return names[slot % len(names)]


def exit_status(runner):
    """What a command ends with that has run a `Local`: 1 after a failure, 130 after Ctrl-C, 3 if jobs are left."""
    if any(outcome.failed for outcome in runner.outcomes):
        return 1
    if runner.interrupted or any(o.status in (INTERRUPTED, -signal.SIGINT) for o in runner.outcomes):
        return INTERRUPTED
    left = runner.todo or any(outcome.status in (STOPPED, BUSY) for outcome in runner.outcomes)
    return STOPPED if left else FINISHED

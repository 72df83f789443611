"""Cases of a suite, each in a process of its own, and what was expected of them."""

import os
import queue
import subprocess
import threading
import tomllib
from pathlib import Path

LIMIT = 90  # seconds for one case
EXPECTED = Path(__file__).with_name("expected.toml")


class Verdicts:
    """Prints a line per case and counts them.

    ok        passed
    known     failed, and `expected.toml` has the reason
    skipped   the suite itself leaves it out, for its own reason or the one in `expected.toml`
    FAIL      failed, or did not although it is listed
    """

    def __init__(self, suite):
        with EXPECTED.open("rb") as file:
            self.reasons = tomllib.load(file).get(suite, {})
        self.suite = suite
        self.counts = dict.fromkeys(("ok", "known", "skipped", "FAIL"), 0)
        self.lock = threading.Lock()

    def judge(self, case, failure):
        """`failure` is nothing if the case has passed."""
        reason = self.reasons.get(case)
        if failure is None and reason is None:
            self._tell("ok", case)
        elif failure is None:
            self._tell("FAIL", case, "passes: take it off expected.toml")
        elif reason is None:
            self._tell("FAIL", case, failure)
        else:
            self._tell("known", case, reason)

    def skip(self, case, reason=None):
        """`reason` is the suite's own, if it has one."""
        reason = self.reasons.get(case, reason)
        if reason is not None:
            self._tell("skipped", case, reason)
        else:
            self._tell("FAIL", case, "was skipped, and expected.toml has no reason")

    def _tell(self, verdict, case, reason=None):
        with self.lock:
            self.counts[verdict] += 1
            line = f"{verdict} {self.suite}: {case}"
            print(f"{line}: {reason}" if reason else line, flush=True)

    def summary(self):
        passed, total = self.counts["ok"], sum(self.counts.values())
        rest = ", ".join(
            f"{count} {verdict}" for verdict, count in self.counts.items() if count and verdict != "ok"
        )
        return f"{self.suite}: {passed} of {total} passed" + (f", {rest}" if rest else "")

    def as_expected(self):
        return self.counts["ok"] > 0 and self.counts["FAIL"] == 0


def run_case(command):
    """Runs a case in a process of its own; what it said if it failed, else nothing."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment)
    except subprocess.TimeoutExpired:
        return f"did not end within {LIMIT} s"
    if done.returncode == 0:
        return None
    return done.stdout + done.stderr or f"ended with {done.returncode}"


def side_by_side(cases, workers):
    """Calls each of `workers` with one case after the other until none is left."""
    waiting = queue.SimpleQueue()
    for case in cases:
        waiting.put(case)

    def work(worker):
        while True:
            try:
                case = waiting.get_nowait()
            except queue.Empty:
                return
            worker(case)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

"""Parts of a run, each within a time of its own, and their processes."""

import concurrent.futures
import json
import os
import signal
import subprocess
import threading
import time
import traceback

PASSED, FAILED, OVER, SKIPPED = "passed", "failed", "over its time", "skipped"
MOST_LOGGED = 200_000  # characters of a process


class TimeOver(Exception):
    """A process was stopped because the time of its part was over."""


class Skip(Exception):
    """A part that can't run here, and why."""


class Log:
    """One file for the output of all processes."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "w")

    def write(self, text):
        with self.lock:
            self.file.write(text + "\n")
            self.file.flush()


class Done:
    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def message(self):
        """What a process says of its failure."""
        text = self.err.strip() or self.out.strip()
        return f"exit {self.code}: {text[-1500:]}"


class Part:
    """One part of a run: what it found, and how long it may take."""

    def __init__(self, name, title, limit, log, gates=True, say=print):
        self.name, self.title, self.limit, self.log = name, title, limit, log
        self.gates = gates  # whether the verdict depends on it
        self.say = say
        self.deadline = time.monotonic() + limit
        self.status, self.lines, self.data = None, [], {}
        self.passed, self.checked = 0, 0
        self.seconds = 0.0

    def left(self):
        return self.deadline - time.monotonic()

    def note(self, text):
        self.lines.append(text)
        self.say(f"  {text}")

    def check(self, ok, text, reason=""):
        """Counts a check and notes it."""
        self.checked += 1
        self.passed += bool(ok)
        self.note(f"{text}{': ' + reason if reason else ''}" if ok
                  else f"{text}: FAILED{', ' + reason if reason else ''}")
        return ok

    def count(self, passed, checked):
        """Counts checks that another program made."""
        self.passed += passed
        self.checked += checked

    def run(self, command, env=None, cwd=None, seconds=None):
        """Runs a process to its end, or until the time is over, which kills it and its children."""
        command = [str(word) for word in command]
        limit = self.left() if seconds is None else min(seconds, self.left())
        if limit <= 0:
            raise TimeOver(" ".join(command))
        start = time.monotonic()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace", cwd=cwd, start_new_session=True,
            env=None if env is None else {**os.environ, **env})
        try:
            out, err = child.communicate(timeout=limit)
            over = False
        except subprocess.TimeoutExpired:
            kill(child)
            out, err = child.communicate()
            over = True
        took = time.monotonic() - start
        self.log.write(
            f"$ {' '.join(f'{k}={v}' for k, v in (env or {}).items())} {' '.join(command)}\n"
            f"# part {self.name}, {'killed' if over else f'exit {child.returncode}'} after "
            f"{took:.1f} s\n{out[-MOST_LOGGED:]}{err[-MOST_LOGGED:]}")
        if over:
            over = TimeOver(" ".join(command))
            over.out = out
            raise over
        return Done(child.returncode, out, err, took)

    def finish(self, function, *arguments):
        """Runs the part; whatever happens, the next one can begin."""
        start = time.monotonic()
        try:
            function(self, *arguments)
            self.status = PASSED if self.passed == self.checked else FAILED
        except TimeOver as over:
            self.status = OVER
            self.note(f"stopped after {self.limit:.0f} s: {str(over)[:300]}")
        except Skip as skip:
            self.status = SKIPPED
            self.note(str(skip))
        except Exception as error:  # a fault of the script is a result, too
            self.status = FAILED
            self.log.write(traceback.format_exc())
            self.note(f"error: {type(error).__name__}: {str(error)[:1500]}")
        self.seconds = time.monotonic() - start
        if self.gates and self.status == PASSED and not self.checked:
            self.status = FAILED
            self.note("nothing was checked")

    def summary(self):
        return (f"({self.name}) {self.title}: {self.status}"
                f"{f', {self.passed} of {self.checked}' if self.checked else ''}"
                f", {self.seconds:.0f} s")

    def json(self):
        return {"name": self.name, "title": self.title, "status": self.status,
                "gates": self.gates, "passed": self.passed, "checked": self.checked,
                "seconds": round(self.seconds, 2), "lines": self.lines, "data": self.data}


def kill(child):
    """Kills a process of a session of its own with its children."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def in_parallel(jobs, tasks):
    """Calls functions without arguments, `jobs` at a time; yields (place, result or exception)."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        places = {pool.submit(task): place for place, task in enumerate(tasks)}
        for future in concurrent.futures.as_completed(places):
            yield places[future], future.exception() or future.result()


def verdict(parts):
    """"PASS", or "FAIL" with the parts that are the reason."""
    wrong = [f"({part.name}) {part.status}" for part in parts
             if part.gates and part.status not in (PASSED, SKIPPED)]
    if not any(part.gates and part.status == PASSED for part in parts):
        wrong.append("no part passed")
    return f"FAIL: {'; '.join(wrong)}" if wrong else "PASS"


def last_json(text):
    """The last line of a text that is a JSON object."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise ValueError(f"no JSON in {text[-300:]!r}")

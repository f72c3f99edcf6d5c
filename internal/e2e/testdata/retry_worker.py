"""A worker whose tasks fail as often as they are told to, and write down what they do."""
import os
import signal
import sys
import time

from magne_worker import Retry, Worker, current

worker = Worker(concurrency=int(os.environ.get("CONCURRENCY", "1")))
record = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


class Limited(Exception):
    pass


def note(what, n):
    os.write(record, b"%s %d %d %d\n" % (what, n, current().attempt, os.getpid()))


@worker.task
def flaky(n, failures):
    """Fails before it succeeds."""
    note(b"begin", n)
    time.sleep(n % 5 / 1000)
    if current().attempt <= failures:
        note(b"failed", n)
        raise ConnectionError(f"not yet ({n})")
    note(b"done", n)


@worker.task
def poison():
    """Takes its process with it."""
    note(b"begin", -1)
    print("about to touch what is not there")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGSEGV)


@worker.task
def late(n, times):
    """Asks to be run later, so many times."""
    note(b"begin", n)
    with open(os.environ["RECORD"], "rb") as f:
        if sum(line.startswith(b"begin %d " % n) for line in f) <= times:
            raise Retry("not now", after=0.2)
    note(b"done", n)


@worker.task
def slow():
    time.sleep(100)


@worker.task
def limited():
    raise Limited("429")


worker.run()

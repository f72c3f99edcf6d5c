"""The worker of the scenarios python and processes."""

import time

import magne_worker

worker = magne_worker.Worker()


@worker.task
def noop(_text):
    pass


@worker.task
def wait(seconds):
    time.sleep(seconds)


worker.run()

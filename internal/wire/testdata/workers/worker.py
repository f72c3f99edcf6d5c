import logging
import subprocess
import time

from magne_worker import Discard, Retry, Worker, current

worker = Worker()
worker.step("importing")


@worker.task
def nothing(*args, **kwargs):
    pass


@worker.task
def echo(*args):
    return list(args)


@worker.task
def raw(body):
    return body


@worker.task
def fail():
    raise ValueError("no width")


@worker.task
def discard():
    raise Discard("no such user")


@worker.task
def retry():
    raise Retry("rate limited", after=5)


@worker.task
def talk():
    print('{"t":"ok","id":1}')
    current().progress(40, "page 4/10")
    logging.warning('say "hi"')


@worker.task
def fds():
    return subprocess.run(["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=False).stdout


@worker.task
def hang():
    current().progress(1)
    time.sleep(600)


worker.run()

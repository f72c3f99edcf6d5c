"""A worker that does to the protocol and to its host what the names of its tasks say."""
import json
import os
import random
import signal
import subprocess
import sys
import time

source, target = os.fdopen(3, "rb"), os.fdopen(4, "wb", 0)
for fd in (3, 4):
    os.set_inheritable(fd, False)
role = os.environ.get("ROLE", "")
secret = os.environ.get("SECRET", "")
nap = float(os.environ.get("NAP", "0"))


def say(body=b"", **head):
    if body:
        head["len"] = len(body)
    target.write(json.dumps(head).encode() + b"\n" + body)


def raw(data):
    target.write(data)
    hang()


def hang():
    while True:
        time.sleep(1000)


def family():
    """Children in sessions of their own, with children of theirs, that heed no TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(5):
        subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM; setsid sleep 1000 & (setsid sleep 1000 &); sleep 1000; sleep 1"])
    hang()


def wait(file):
    while not os.path.exists(file):
        time.sleep(0.01)


def tell(id):
    print("print", secret)
    print(json.dumps({"msg": secret, "k": [secret]}))
    sys.stderr.write(secret + "\n")
    sys.stdout.flush()
    say(t="log", id=id, level="info", msg=secret, f={"k": secret})
    say(t="progress", id=id, pct=1, msg=secret)
    say(secret.encode(), t="error", id=id, kind=secret, msg=secret, permanent=True)


def run(id, name, args):
    {
        "garbage": lambda: raw(b"\x00\xff what is this\n"),
        "half": lambda: (target.write(b'{"t":"ok",'), os.close(4), hang()),
        "half_body": lambda: (target.write(b'{"t":"ok","id":%d,"len":9}\nabc' % id), os.close(4), hang()),
        "long_header": lambda: raw(b'{"t":"ok","x":"' + b"x" * (10 << 20) + b'"}\n'),
        "unknown_id": lambda: (say(t="ok", id=id + 1000), hang()),
        "second_hello": lambda: (say(t="hello", proto=1), hang()),
        "closes": lambda: (os.close(4), hang()),
        "exits": lambda: os._exit(0),
        "stops": lambda: os.kill(os.getpid(), signal.SIGSTOP),
        "family": family,
        "twice": lambda: (say(t="ok", id=id), say(t="ok", id=id), hang()),
        "print": lambda: (print("a line\n{not a frame}"), sys.stdout.flush()),
        "record": lambda: (time.sleep(random.random() * nap), os.write(record, b"%d\n" % args[0])),
        "late": lambda: os.write(record, b"%d\n" % ((time.time() - args[0]) * 1e6)),
        "wait": lambda: wait(args[0]),
        "tell": lambda: tell(id),
        "env": lambda: say(t="error", id=id, msg=os.environ.get("GENERATION", ""), permanent=True),
    }.get(name, lambda: None)()
    if name not in ("tell", "env"):
        say(t="ok", id=id)


say(t="hello", proto=1, tasks=[], concurrency=1, caps=["cancel"], sdk="bad/1", pid=os.getpid())
if role == "dies after hello":
    os._exit(3)
record = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND) if "RECORD" in os.environ else None
for line in source:
    head = json.loads(line)
    body = json.loads(source.read(head.get("len", 0)) or b"{}")
    if head["t"] == "task":
        run(head["id"], head["name"], body.get("args") or [])
    elif head["t"] == "ping":
        say(t="pong", n=head["n"])
    elif head["t"] == "drain":
        break

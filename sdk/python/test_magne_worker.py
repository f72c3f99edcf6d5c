"""Drives workers over pipes as a supervisor does. Run: python3 -m unittest, in this directory."""

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 20.0  # seconds until a test gives up


class Supervisor:
    """The other side of the protocol, with a worker that runs the given source."""

    def __init__(self, source, stdio=False, env=None):
        source = "from magne_worker import *\n" + textwrap.dedent(source)
        environ = {**os.environ, "PYTHONPATH": HERE, "MAGNE_PROTO": "1", **(env or {})}
        if stdio:
            environ.update(MAGNE_FD_IN="0", MAGNE_FD_OUT="1")
            self.process = subprocess.Popen(
                [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
            )
            self.to, self.of = self.process.stdin.fileno(), self.process.stdout.fileno()
        else:
            theirs_in, self.to = os.pipe()
            self.of, theirs_out = os.pipe()
            environ.update(MAGNE_FD_IN=str(theirs_in), MAGNE_FD_OUT=str(theirs_out))
            self.process = subprocess.Popen(
                [sys.executable, "-c", source], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=environ, pass_fds=(theirs_in, theirs_out),
            )  # fmt: skip
            os.close(theirs_in)
            os.close(theirs_out)
        self.stdio, self.buffer, self.ids = stdio, b"", 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if not self.stdio:
            self.close()
            os.close(self.of)
        for f in (self.process.stdin, self.process.stdout, self.process.stderr):
            if f:
                f.close()

    def close(self):
        if self.to >= 0:
            os.close(self.to)
            self.to = -1

    def send(self, head, body=b""):
        if body:
            head["len"] = len(body)
        view = memoryview(json.dumps(head).encode() + b"\n" + body)
        while view:
            view = view[os.write(self.to, view) :]

    def task(self, name, *args, **more):
        kwargs, body = more.pop("kwargs", {}), more.pop("body", None)
        self.ids += 1
        head = {"t": "task", "id": self.ids, "name": name, "attempt": 1, **more}
        if body is None:
            head["ct"] = "application/json"
            body = json.dumps({"args": args, "kwargs": kwargs}).encode()
        self.send(head, body)
        return self.ids

    def _more(self):
        if not select.select([self.of], [], [], PATIENCE)[0]:
            raise AssertionError("no frame in time; stderr: %r" % os.read(self.process.stderr.fileno(), 9999))
        data = os.read(self.of, 65536)
        if not data:
            raise EOFError(self.process.stderr.read().decode())
        self.buffer += data

    def read(self):
        """The next frame, of any type: (head, body)."""
        while b"\n" not in self.buffer:
            self._more()
        line, _, self.buffer = self.buffer.partition(b"\n")
        head = json.loads(line)
        while len(self.buffer) < head.get("len", 0):
            self._more()
        n = head.get("len", 0)
        body, self.buffer = self.buffer[:n], self.buffer[n:]
        return head, body

    def wait(self, kind):
        """The next frame of a type; others before it are dropped."""
        while True:
            head, body = self.read()
            if head["t"] == kind:
                return head, body

    def hello(self, **welcome):
        head, _ = self.wait("hello")
        self.send({"t": "welcome", "proto": 1, "slot": "test/1", **welcome})
        return head

    def end(self):
        """EOF, the exit code, and what went to stderr."""
        self.close()
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err.decode()


ECHO = """
    worker = Worker()
    @worker.task
    def echo(*args, **kwargs):
        return [list(args), kwargs]
    @worker.task("raw")
    def raw_body(body):
        return body
    @worker.task
    def nothing(): pass
"""


class Protocol(unittest.TestCase):
    def test_hello_tasks_and_results(self):
        with Supervisor(ECHO + "    worker.step('importing')\n    worker.run()") as s:
            self.assertEqual(s.read()[0], {"t": "step", "msg": "importing"})
            hello = s.hello()
            self.assertEqual(hello["proto"], 1)
            self.assertEqual(hello["tasks"], ["echo", "nothing", "raw"])
            self.assertEqual(hello["caps"], ["cancel", "cancel-signal", "beat"])
            self.assertEqual(hello["pid"], s.process.pid)
            s.task("echo", 1, "é", kwargs={"a": None})
            head, body = s.read()
            self.assertEqual((head["t"], head["id"], json.loads(body)), ("ok", 1, [[1, "é"], {"a": None}]))
            s.task("nothing")
            self.assertEqual(s.read(), ({"t": "ok", "id": 2}, b""))
            blob = bytes(range(256)) * 1200  # 300 kB, with line feeds
            writer = threading.Thread(target=s.task, args=("raw",), kwargs={"body": blob, "ct": "image/png"})
            writer.start()
            head, body = s.read()
            writer.join()
            self.assertEqual((head["id"], body == blob), (3, True))
            self.assertEqual(s.end(), (0, ""))

    def test_print_is_harmless(self):
        with Supervisor("""
            worker = Worker()
            @worker.task
            def talk():
                for i in range(1000): print('{"t":"ok","id":1}')
            worker.run()
        """) as s:
            s.hello()
            s.task("talk")
            self.assertEqual(s.read()[0], {"t": "ok", "id": 1})
            s.close()
            out, _ = s.process.communicate(timeout=PATIENCE)
            self.assertEqual(out.count(b"\n"), 1000)

    def test_stdio_transport(self):
        with Supervisor(ECHO + "    print('hoo')\n    worker.step('x')\n    worker.run()", stdio=True) as s:
            self.assertEqual(s.read()[0]["t"], "step")  # and not what was printed
            s.hello()
            s.task("echo", 1)
            self.assertEqual(s.read()[0]["t"], "ok")

    def test_drain(self):
        with Supervisor(ECHO + "    worker.run()") as s:
            s.hello()
            s.task("nothing")
            late = b'{"t":"task","id":2,"name":"nothing","ct":"application/json"}\n'
            os.write(s.to, b'{"t":"drain","deadline_ms":1000}\n' + late)  # the task is not taken any more
            self.assertEqual(s.read()[0], {"t": "ok", "id": 1})
            self.assertEqual(s.process.wait(PATIENCE), 0)
            with self.assertRaises(EOFError):
                s.read()

    def test_ping_unknown_and_bye(self):
        with Supervisor(ECHO + "    worker.add(lambda: worker.bye('memory'), 'leak')\n    worker.run()") as s:
            s.hello()
            s.send({"t": "shiny", "x": 1}, b"abc")
            s.send({"t": "cancel", "id": 99, "reason": "timeout"})
            s.send({"t": "ping", "n": 5})
            self.assertEqual(s.read()[0], {"t": "pong", "n": 5})
            s.task("leak")
            self.assertEqual(s.read()[0], {"t": "bye", "reason": "memory"})
            self.assertEqual(s.read()[0], {"t": "ok", "id": 1})


    def test_print_of_what_is_no_utf8(self):
        with Supervisor("""
            worker = Worker()
            @worker.task
            def talk(): print("a file: \\udcff")
            worker.run()
        """) as s:
            s.hello()
            s.task("talk")
            self.assertEqual(s.read()[0], {"t": "ok", "id": 1})
            s.close()
            self.assertEqual(s.process.communicate(timeout=PATIENCE)[0], b"a file: \\udcff\n")

class Outcomes(unittest.TestCase):
    def reply(self, source, *args, **more):
        with Supervisor("worker = Worker()\n@worker.task\n" + textwrap.dedent(source) + "\nworker.run()") as s:
            s.hello()
            s.task("f", *args, **more)
            first = s.read()
            s.task("f", *args, **more)  # it goes on
            self.assertEqual(s.read()[0]["id"], 2)
            return first

    def test_error(self):
        head, body = self.reply("def f(): raise ValueError('no \"width\"')")
        self.assertEqual((head["t"], head["kind"], head["msg"]), ("error", "ValueError", 'no "width"'))
        self.assertNotIn("permanent", head)
        self.assertIn(b"Traceback", body)

    def test_long_error(self):
        head, body = self.reply("def f(): raise ValueError('\\U0001f600' * 1000000)")
        self.assertEqual(head["kind"], "ValueError")
        self.assertLess(len(json.dumps(head)), 65536)

    def test_discard(self):
        head, _ = self.reply("def f(): raise Discard('no such user')")
        self.assertEqual((head["t"], head["permanent"], head["msg"]), ("error", True, "no such user"))

    def test_retry(self):
        head, _ = self.reply("def f(): raise Retry('rate limited', after=5)")
        self.assertEqual(head, {"t": "retry", "id": 1, "after_ms": 5000, "msg": "rate limited"})

    def test_retry_after_what_is_no_time(self):
        for after in ("float('inf')", "float('nan')", "None", "'soon'", "-1"):
            head, _ = self.reply(f"def f(): raise Retry(after={after})")
            self.assertEqual((head["t"], head["after_ms"]), ("retry", 0), after)
        self.assertLess(self.reply("def f(): raise Retry(after=1e30)")[0]["after_ms"], 1 << 53)

    def test_arguments_that_do_not_fit(self):
        head, _ = self.reply("def f(a, b=1): pass", 1, 2, 3)
        self.assertEqual((head["permanent"], head["msg"]), (True, "too many positional arguments"))

    def test_type_error_inside(self):
        head, _ = self.reply("def f(a): return a + 1", "x")
        self.assertEqual(head["kind"], "TypeError")
        self.assertNotIn("permanent", head)

    def test_body_that_is_no_json(self):
        head, _ = self.reply("def f(): pass", body=b"{", ct="application/json")
        self.assertTrue(head["permanent"])
        head, _ = self.reply("def f(): pass", body=b"[]", ct="application/json")
        self.assertTrue(head["permanent"])

    def test_result_that_is_no_json(self):
        head, _ = self.reply("def f(): return {1, 2}")
        self.assertEqual((head["t"], head["permanent"]), ("error", True))
        head, _ = self.reply("def f(): return float('nan')")
        self.assertEqual((head["t"], head["permanent"]), ("error", True))

    def test_exit_in_a_task(self):
        head, _ = self.reply("def f(): raise SystemExit(3)")
        self.assertEqual((head["t"], head["kind"]), ("error", "SystemExit"))

    def test_unknown_task(self):
        with Supervisor(ECHO + "    worker.run()") as s:
            s.hello()
            s.task("nobody")
            head, _ = s.read()
            self.assertEqual((head["t"], head["permanent"]), ("error", True))

    def test_result_over_the_limit(self):
        with Supervisor(ECHO + "    worker.run()") as s:
            s.hello(max_body=10)
            s.task("raw", body=b"x" * 11)
            head, body = s.read()
            self.assertEqual((head["t"], head["permanent"], len(body) <= 10), ("error", True, True))


class Running(unittest.TestCase):
    def test_context_progress_and_logging(self):
        with Supervisor("""
            import logging
            worker = Worker()
            @worker.task
            def f():
                c = current()
                c.progress(40, "page 4/10")
                c.progress(41)  # too soon
                logging.getLogger("app").info("hello %s", "you", extra={"user": 7, "odd": {1}})
                logging.debug("not at this level")
                try:
                    1 / 0
                except ZeroDivisionError:
                    logging.exception("oh")
                return [c.id, c.name, c.attempt, c.headers, 0 < c.remaining() <= 30, current() is c]
            worker.run()
        """) as s:
            s.hello()
            s.task("f", attempt=3, deadline_ms=30000, hdr={"trace": "x"})
            self.assertEqual(s.read()[0], {"t": "progress", "id": 1, "pct": 40, "msg": "page 4/10"})
            self.assertEqual(
                s.read()[0],
                {"t": "log", "id": 1, "level": "info", "msg": "hello you", "f": {"user": 7, "odd": "{1}", "logger": "app"}},
            )
            head, _ = s.read()
            self.assertEqual((head["level"], head["f"]), ("error", {"logger": "root"}))
            self.assertIn("ZeroDivisionError", head["msg"])
            _, body = s.read()
            self.assertEqual(json.loads(body), [1, "f", 3, {"trace": "x"}, True, True])

    def test_cancel_by_signal(self):
        with Supervisor("""
            import time
            worker = Worker()
            @worker.task
            def f():
                current().progress(0)
                try:
                    time.sleep(60)
                except Exception:
                    pass  # does not swallow it
            @worker.task
            def g(): return current().cancelled
            worker.run()
        """) as s:
            s.hello()
            s.task("f")
            s.task("g")  # behind it in the pipeline
            s.wait("progress")
            s.send({"t": "cancel", "id": 1, "reason": "timeout"})
            s.process.send_signal(signal.SIGUSR1)
            head, body = s.read()
            self.assertEqual((head["t"], head["id"], head["kind"], head["msg"]), ("error", 1, "Cancelled", "timeout"))
            self.assertIn(b"in f", body)
            self.assertEqual(s.read(), ({"t": "ok", "id": 2}, b""))
            s.process.send_signal(signal.SIGUSR1)  # nothing runs: no harm
            s.task("g")
            self.assertEqual(s.read()[0], {"t": "ok", "id": 3})

    def test_cancel_never_cuts_a_frame(self):
        with Supervisor("""
            worker = Worker()
            @worker.task
            def f():
                c = current()
                while True:
                    c._next_progress = 0
                    c.progress(1, "x" * 4000)
            worker.run()
        """) as s:
            s.hello()
            for _ in range(50):
                task = s.task("f")
                s.read()
                s.send({"t": "cancel", "id": task, "reason": "timeout"})
                s.process.send_signal(signal.SIGUSR1)
                head, _ = s.wait("error")
                self.assertEqual((head["id"], head["kind"]), (task, "Cancelled"))

    def test_cancel_of_a_waiting_task(self):
        with Supervisor(ECHO + "    worker.run()") as s:
            s.wait("hello")
            both = b'{"t":"task","id":1,"name":"nothing","ct":"application/json"}\n{"t":"cancel","id":1,"reason":"revoked"}\n'
            os.write(s.to, both)
            head, _ = s.read()
            self.assertEqual((head["t"], head["msg"]), ("error", "revoked"))

    def test_beats_while_busy_only(self):
        with Supervisor("""
            import time
            worker = Worker()
            @worker.task
            def f(): time.sleep(0.3)
            worker.run()
        """) as s:
            s.hello(beat_ms=20)
            s.task("f")
            beats = 0
            while s.read()[0]["t"] == "beat":
                beats += 1
            self.assertGreaterEqual(beats, 3)
            self.assertFalse(select.select([s.of], [], [], 0.1)[0], "a beat while idle")

    def test_fds_do_not_leak(self):
        with Supervisor("""
            import os, subprocess
            worker = Worker()
            @worker.task
            def f():
                fds = [os.environ["MAGNE_FD_IN"], os.environ["MAGNE_FD_OUT"]]
                code = "import os,sys\\nfor fd in sys.argv[1:]:\\n try: os.fstat(int(fd)); print(fd)\\n except OSError: pass"
                return subprocess.run(["python3", "-c", code, *fds], stdout=subprocess.PIPE, close_fds=False).stdout.decode()
            @worker.task
            def g():
                import logging
                pid = os.fork()
                if pid == 0:
                    logging.warning("from the fork")
                    worker.bye("no")
                    current().progress(1)
                    os._exit(7)
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            worker.run()
        """) as s:
            s.hello()
            s.task("f")
            self.assertEqual(s.read()[1], b'""')
            s.task("g")
            self.assertEqual(s.read()[1], b"7")
            self.assertIn("from the fork", s.end()[1])

    def test_by_hand(self):
        out = subprocess.run(
            [sys.executable, "-c", "from magne_worker import *; Worker().run()"],
            env={**os.environ, "PYTHONPATH": HERE, "MAGNE_PROTO": ""}, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.assertEqual(out.returncode, 1)
        self.assertIn(b"magne-actors run", out.stderr)


class Concurrent(unittest.TestCase):
    SOURCE = """
        import asyncio, threading
        worker = Worker(concurrency=3)
        barrier = threading.Barrier(2)
        events = {}
        @worker.task
        async def wait(name):
            current().progress(1)
            await events.setdefault(name, asyncio.Event()).wait()
            return [name, current().id]
        @worker.task("set")
        async def set_(name):
            events.setdefault(name, asyncio.Event()).set()
        @worker.task
        def meet():
            barrier.wait(20)
            return current().id
        @worker.task
        async def bad(a): raise Retry(after=0.5)
        @worker.task
        def block():
            current().progress(1)
            while current().cancelled is None: pass
            return current().cancelled
        worker.run()
    """

    def test_tasks_beside_each_other(self):
        with Supervisor(self.SOURCE) as s:
            hello = s.hello(beat_ms=20)
            self.assertEqual((hello["concurrency"], hello["caps"]), (3, ["cancel", "beat"]))
            s.task("wait", "a")
            s.wait("progress")
            s.wait("beat")
            s.task("set", "a")
            replies = {}
            for _ in range(2):
                head, body = s.wait("ok")
                replies[head["id"]] = body
            self.assertEqual(replies, {1: b'["a",1]', 2: b""})
            s.task("meet")
            s.task("meet")
            bodies = sorted(s.wait("ok")[1] for _ in range(2))
            self.assertEqual(bodies, [b"3", b"4"])  # each has its own context
            s.task("bad", 1)
            self.assertEqual(s.wait("retry")[0]["after_ms"], 500)
            s.task("bad")
            self.assertTrue(s.wait("error")[0]["permanent"])
            s.send({"t": "ping", "n": 1})
            s.wait("pong")
            self.assertEqual(s.end()[0], 0)

    def test_cancel(self):
        with Supervisor(self.SOURCE) as s:
            s.hello()
            s.task("wait", "never")
            s.wait("progress")
            s.send({"t": "cancel", "id": 1, "reason": "shutdown"})
            head, _ = s.wait("error")
            self.assertEqual((head["kind"], head["msg"]), ("Cancelled", "shutdown"))
            s.task("block")
            s.wait("progress")
            s.send({"t": "cancel", "id": 2, "reason": "timeout"})
            self.assertEqual(s.wait("ok")[1], b'"timeout"')
            for _ in range(4):
                s.task("wait", "never")
            s.send({"t": "cancel", "id": 6, "reason": "revoked"})  # the fourth waits for its turn
            self.assertEqual(s.wait("error")[0]["id"], 6)

    def test_cancel_before_it_begins(self):
        with Supervisor("""
            import asyncio, select
            worker = Worker()
            @worker.task
            async def first():
                current().progress(1)
                select.select([worker._channel.fd_in], [], [])  # the cancel is there
                await asyncio.sleep(0)  # and is looked at right after this task, which has begun the next one
            @worker.task
            async def second(): pass
            worker.run()
        """) as s:
            s.hello()
            tasks = [{"t": "task", "id": i, "name": name, "ct": "application/json"} for i, name in ((1, "first"), (2, "second"))]
            os.write(s.to, "".join(json.dumps(t) + "\n" for t in tasks).encode())
            s.wait("progress")
            s.send({"t": "cancel", "id": 2, "reason": "revoked"})
            self.assertEqual(s.read()[0], {"t": "ok", "id": 1})
            head, _ = s.read()
            self.assertEqual((head["id"], head["kind"]), (2, "Cancelled"))

    def test_drain_finishes_what_runs(self):
        with Supervisor(self.SOURCE) as s:
            s.hello()
            s.task("wait", "a")
            s.task("set", "a")
            s.send({"t": "drain"})
            self.assertEqual(sorted(s.wait("ok")[0]["id"] for _ in range(2)), [1, 2])
            self.assertEqual(s.process.wait(PATIENCE), 0)


class Library(unittest.TestCase):
    def test_a_task_stays_a_function(self):
        sys.path.insert(0, HERE)
        import magne_worker

        worker = magne_worker.Worker()

        @worker.task
        def double(n: int) -> int:
            magne_worker.current().progress(50)
            return 2 * n

        self.assertEqual(double(4), 8)
        self.assertEqual(magne_worker.current().id, 0)
        with self.assertRaises(ValueError):
            worker.task("double")(print)
        with self.assertRaises(ValueError):
            magne_worker.Worker(concurrency=0)

    def test_speed(self):
        """A report, not a limit: this machine is shared."""
        with Supervisor(ECHO + "    worker.run()") as s:
            s.hello()
            start, n = time.perf_counter(), 3000
            for _ in range(n):
                s.task("nothing")
                s.read()
            print(f"\n{n / (time.perf_counter() - start):.0f} empty tasks/s, one by one", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()

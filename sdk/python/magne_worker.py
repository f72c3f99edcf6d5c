"""Run Python functions as tasks of magne-actors (protocol MWP/1).

    from magne_worker import Discard, Retry, Worker, current

    worker = Worker()

    @worker.task
    def resize(path: str, width: int) -> dict:
        if width <= 0:
            raise Discard("no width")               # dead-letter, do not try again
        for page in range(10):
            current().progress(10 * page, f"page {page}/10")
        return {"path": path}                       # the result: JSON, or bytes as they are

    @worker.task("mail.send")
    async def send(to: str) -> None:
        raise Retry("rate limited", after=5)        # later: the next attempt

    if __name__ == "__main__":
        worker.run()

One file, no dependency, Python 3.9 or later. Copy it beside your program.

What a task gets: the args and kwargs of the message. If its content type is not
application/json, one argument: the body, as bytes.

With concurrency 1 and plain functions, tasks run in the main thread, one after
the other; a cancelled one gets the exception Cancelled wherever it is. As soon
as there is an async task, or concurrency is above 1, they run on an asyncio
loop: async ones on it (cancelled as asyncio does it), plain functions in a
thread each (they should look at current().cancelled).

print() is a line in the log of magne-actors and nothing else; so is what goes to
logging, with the id of the task and its fields. A decorated function stays what
it was: call it in a unit test, where current() is an idle Context.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextvars
import faulthandler
import gc
import inspect
import json
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from typing import Any, Callable, Deque, Dict, List, Optional, Set, Tuple, TypeVar, Union, cast, overload

__version__ = "0.1"
__all__ = ["Cancelled", "Context", "Discard", "LogHandler", "Retry", "Worker", "current"]

F = TypeVar("F", bound=Callable[..., Any])
Frame = Tuple[Dict[str, Any], bytes]

_PROTO = 1
_TEXT = 4096  # characters of a message: even all escaped they fit into a header
_TRACE = 256 << 10  # characters of a traceback
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str).encode
_decode = json.JSONDecoder().raw_decode  # of what the supervisor has written: nothing is around it
_encode_result = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Retry(Exception):
    """Run the task again after some seconds; 0 leaves the time to the pool.

    This uses up no attempt. The pool's retry.max_snoozes bounds how often.
    """

    def __init__(self, message: str = "", after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class Discard(Exception):
    """The task failed and trying again would not help: put it into the dead-letter queue."""


class Cancelled(BaseException):
    """Raised inside a task that is cancelled. reason: timeout, revoked or shutdown.

    Not an Exception, so that `except Exception` in a task does not swallow it.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Context:
    """The running task."""

    def __init__(self, head: Optional[Dict[str, Any]] = None, body: bytes = b"", channel: Optional[_Channel] = None) -> None:
        head = head or {}
        self.id: int = head.get("id") or 0
        self.name: str = head.get("name") or ""
        self.attempt: int = head.get("attempt") or 1
        self.headers: Dict[str, str] = head.get("hdr") or {}
        self.content_type: str = head.get("ct") or ""
        self.body = body
        self.cancelled: Optional[str] = None  # the reason, once it is
        self.begun = False  # on an asyncio loop
        left = head.get("deadline_ms")
        self._ends = None if left is None else time.monotonic() + left / 1000
        self._channel = channel
        self._next_progress = 0.0

    def remaining(self) -> Optional[float]:
        """Seconds until the deadline, None if there is none."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    def progress(self, percent: float, message: str = "") -> None:
        """Tell how far the task is. Of more than ten a second some are left out."""
        now = time.monotonic()
        if self._channel is None or now < self._next_progress:
            return
        self._next_progress = now + 0.1
        self._channel.send({"t": "progress", "id": self.id, "pct": percent, "msg": message[:_TEXT]})

    def _arguments(self) -> Tuple[List[Any], Dict[str, Any]]:
        if self.content_type != "application/json":
            return [self.body], {}
        try:
            data = json.loads(self.body.decode()) if self.body else {}
            args, kwargs = data.get("args") or [], data.get("kwargs") or {}
        except (ValueError, AttributeError) as e:
            raise Discard(f"the body is not an object with args and kwargs: {e}") from None
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise Discard("args is not a list, or kwargs not an object")
        return args, kwargs


_idle = Context()
_current: contextvars.ContextVar[Context] = contextvars.ContextVar("magne_task", default=_idle)


def current() -> Context:
    """The running task; outside of one a Context with id 0 that does nothing."""
    return _current.get()


class _Channel:
    """Frames over two file descriptors. send() is for every thread, the rest for one."""

    def __init__(self, fd_in: int, fd_out: int) -> None:
        if fd_in <= 2 or fd_out <= 2:  # transport stdio: print() must not write there
            fd_in, fd_out = os.dup(fd_in), os.dup(fd_out)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.close(null)
            os.dup2(2, 1)
        os.set_inheritable(fd_in, False)  # before anything can start a process
        os.set_inheritable(fd_out, False)
        self.fd_in, self.fd_out = fd_in, fd_out
        self.max_header, self.max_body = 65536, 16 << 20
        self.forked = False
        self._lock = threading.Lock()
        self._main = threading.main_thread().ident
        self._buffer = bytearray()
        self._head: Optional[Dict[str, Any]] = None
        self._ended = False
        self._frames: Deque[Frame] = collections.deque()
        # A signal handler must not raise in the middle of a frame.
        self.writing = False
        self.after_write: Optional[Callable[[], None]] = None
        os.register_at_fork(after_in_child=self._after_fork)

    def cancelled(self, id: int) -> Optional[str]:
        """The reason if a cancel frame for the task has been read and not taken yet."""
        for head, _ in self._frames:
            if head["t"] == "cancel" and head.get("id") == id:
                return head.get("reason") or "cancelled"
        return None

    def _after_fork(self) -> None:
        """A forked process is no worker: it must not write frames, nor hold the pipe open."""
        self.forked = True
        os.close(self.fd_in)
        os.close(self.fd_out)

    def send(self, head: Dict[str, Any], body: bytes = b"") -> None:
        """Write one frame. Blocks while the pipe is full. ValueError: over the limit."""
        if self.forked:
            return
        if body:
            if len(body) > self.max_body:
                raise ValueError(f"a body of {len(body)} bytes, more than {self.max_body}")
            head["len"] = len(body)
        line = _encode(head).encode() + b"\n"
        if len(line) > self.max_header:
            raise ValueError(f"a header of {len(line)} bytes, more than {self.max_header}")
        self._send(line + body)

    def done(self, id: int) -> None:
        """Reply that a task is done and has no result: what most replies are."""
        if not self.forked:
            self._send(b'{"t":"ok","id":%d}\n' % id)

    def _send(self, data: bytes) -> None:
        if threading.get_ident() != self._main:
            with self._lock:
                self._write(data)
            return
        self.writing = True
        try:
            with self._lock:
                self._write(data)
        finally:
            self.writing = False
        then, self.after_write = self.after_write, None
        if then is not None:
            then()

    def _write(self, data: bytes) -> None:
        n = os.write(self.fd_out, data)
        if n == len(data):
            return
        view = memoryview(data)[n:]
        while view:
            view = view[os.write(self.fd_out, view) :]

    def receive(self) -> Optional[Frame]:
        """Block until there is a frame; None at the end."""
        while True:
            if self._frames:
                return self._frames.popleft()
            if self._ended:
                return None
            self.fill()

    def fill(self) -> None:
        """Read once, which blocks unless there is something, and parse what is complete."""
        data = os.read(self.fd_in, 1 << 16)
        self._ended = not data
        if not self._buffer and self._head is None:
            data = self._whole(data)
        self._buffer += data
        while True:
            if self._head is None:
                line, found, _ = self._buffer.partition(b"\n")
                if not found:
                    return
                del self._buffer[: len(line) + 1]
                self._head = json.loads(line)
            n = self._head.get("len") or 0
            if len(self._buffer) < n:
                return
            self._frames.append((self._head, bytes(self._buffer[:n])))
            self._head = None
            del self._buffer[:n]

    def _whole(self, data: bytes) -> bytes:
        """Parse the frames that are whole in data, as nearly all are; returns the rest."""
        at = 0
        while True:
            end = data.find(b"\n", at) + 1
            if not end:
                break
            head = _decode(data[at:end].decode())[0]
            n = head.get("len") or 0
            if len(data) < end + n:
                break
            self._frames.append((head, data[end : end + n]))
            at = end + n
        return data[at:]

    def poll(self) -> Deque[Frame]:
        """Read what is there already; returns the frames that wait for receive()."""
        readable = select.poll()
        readable.register(self.fd_in, select.POLLIN)
        while not self._ended and readable.poll(0):
            self.fill()
        return self._frames

    @property
    def ended(self) -> bool:
        return self._ended


class LogHandler(logging.Handler):
    """Sends records to the log of magne-actors with their task and their extra fields."""

    _standard = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

    def __init__(self, channel: _Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record)
            if self._channel.forked:
                sys.stderr.write(message + "\n")
                return
            head = {"t": "log", "id": current().id, "level": record.levelname.lower(), "msg": message[:_TEXT]}
            fields = {k: v for k, v in record.__dict__.items() if k not in self._standard}
            fields["logger"] = record.name
            try:
                self._channel.send({**head, "f": fields})
            except (ValueError, TypeError):  # fields that are too long, or no JSON
                self._channel.send(head)
        except Exception:
            self.handleError(record)


class Worker:
    """A set of tasks, and the loop that runs them.

    concurrency: how many tasks at a time. heartbeat: tell the watchdog of the
    pool that the process is alive while a task runs.
    """

    def __init__(self, concurrency: int = 1, heartbeat: bool = True) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency {concurrency}, want at least 1")
        self.concurrency = concurrency
        self.heartbeat = heartbeat
        self._tasks: Dict[str, Callable[..., Any]] = {}
        self._running: Optional[Context] = None  # in the main thread
        self._draining = False
        self._channel: Optional[_Channel] = None
        if os.environ.get("MAGNE_PROTO"):
            self._channel = _Channel(int(os.environ.get("MAGNE_FD_IN", 3)), int(os.environ.get("MAGNE_FD_OUT", 4)))

    @overload
    def task(self, name: F) -> F: ...

    @overload
    def task(self, name: Optional[str] = None) -> Callable[[F], F]: ...

    def task(self, name: Union[str, None, F] = None) -> Any:
        """Register a function as a task, under its own name or the given one."""
        if callable(name):
            return self.add(cast(F, name))
        return lambda function: self.add(function, name)

    def add(self, function: F, name: Optional[str] = None) -> F:
        """The same without a decorator."""
        name = name or function.__name__
        if name in self._tasks:
            raise ValueError(f"two tasks {name!r}")
        self._tasks[name] = function
        return function

    def step(self, message: str) -> None:
        """Say what the start of the worker is at: shown in the tree, and kept if it dies there."""
        if self._channel is not None:
            self._channel.send({"t": "step", "msg": message[:_TEXT]})

    def bye(self, reason: str) -> None:
        """Ask to be replaced: the running tasks finish, new ones go to the successor."""
        if self._channel is not None:
            self._channel.send({"t": "bye", "reason": reason[:_TEXT]})

    def run(self) -> None:
        """Serve until the supervisor has no more for us. Blocks; call it in the main thread."""
        channel = self._channel
        if channel is None:
            sys.exit("This program is a worker of magne-actors: name it in the process.command of a pool and use `magne-actors run`.")
        if hasattr(sys.stdout, "reconfigure"):
            # A line of print() is a line of the log, now, and one that has no UTF-8,
            # such as the name of a file, fails no task.
            sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        if not logging.root.handlers:
            logging.root.addHandler(LogHandler(channel))
            logging.root.setLevel(logging.INFO)
        faulthandler.register(signal.SIGQUIT, all_threads=True, chain=False)  # dump_signal: QUIT
        on_loop = self.concurrency > 1 or any(inspect.iscoroutinefunction(f) for f in self._tasks.values())
        caps = ["cancel"] if on_loop else ["cancel", "cancel-signal"]
        if not on_loop:
            signal.signal(signal.SIGUSR1, self._cancel_signal)
        channel.send({
            "t": "hello", "proto": _PROTO, "tasks": sorted(self._tasks), "concurrency": self.concurrency,
            "caps": caps + (["beat"] if self.heartbeat else []), "sdk": f"py/{__version__}", "pid": os.getpid(),
        })  # fmt: skip
        if on_loop:
            asyncio.run(_Loop(self, channel, self._tasks).serve())
        else:
            self._serve(channel)
        gc.freeze()  # what is left would be searched for garbage at the exit: that takes longer than the rest of a stop

    # One task at a time, in the main thread.

    def _serve(self, channel: _Channel) -> None:
        while not self._draining:
            frame = channel.receive()
            if frame is None:
                return
            head, body = frame
            kind = head["t"]
            if kind == "task":
                self._run_here(channel, Context(head, body, channel))
            elif kind == "welcome":
                _welcome(channel, head)
                if self.heartbeat and head.get("beat_ms"):
                    beats = threading.Thread(target=self._beat, args=(channel, head["beat_ms"] / 1000), daemon=True)
                    beats.start()
            elif kind == "ping":
                channel.send({"t": "pong", "n": head.get("n")})
            elif kind == "drain":
                self._draining = True

    def _run_here(self, channel: _Channel, ctx: Context) -> None:
        _current.set(ctx)
        result: Any = None
        error: Optional[BaseException] = None
        function, args, kwargs = None, [], {}  # type: ignore[var-annotated]
        try:
            try:
                _check_cancelled(channel, ctx)
                function, args, kwargs = _prepare(self._tasks, ctx)
                self._running = ctx  # from here on the signal may raise Cancelled
                result = function(*args, **kwargs)
            finally:
                self._running = None
        except BaseException as e:
            self._running = None
            error = _check_arguments(e, function, args, kwargs)
        channel.after_write = None
        _reply(channel, ctx, result, error)
        _current.set(_idle)
        if isinstance(error, KeyboardInterrupt):
            raise error

    def _cancel_signal(self, *_: Any) -> None:
        """SIGUSR1: a cancel frame is there. Only the running task is interrupted by it."""
        channel, ctx = self._channel, self._running
        if channel is None or ctx is None:
            return  # it is read when its turn comes, and then it is too late
        if channel.writing:
            channel.after_write = lambda: self._cancel_signal()
            return
        if ctx.cancelled is None:
            channel.poll()
            _check_cancelled(channel, ctx)

    def _beat(self, channel: _Channel, every: float) -> None:
        wait = threading.Event()
        try:
            while not wait.wait(every):
                if self._running is not None:
                    channel.send({"t": "beat"})
        except OSError:
            pass  # the supervisor is gone; the main thread sees it too


class _Loop:
    """Several tasks at a time, or async ones, on an asyncio loop."""

    def __init__(self, worker: Worker, channel: _Channel, tasks: Dict[str, Callable[..., Any]]) -> None:
        self.worker, self.channel, self.tasks = worker, channel, tasks
        self.concurrency = worker.concurrency
        self.waiting: Deque[Context] = collections.deque()
        self.running: Dict[int, Tuple[Context, asyncio.Task[None]]] = {}
        self.background: Set[asyncio.Task[None]] = set()
        self.draining = False
        self.pool = concurrent.futures.ThreadPoolExecutor(worker.concurrency, "task")

    async def serve(self) -> None:
        self.over = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.channel.fd_in, self._readable)
        try:
            await self.over.wait()
        finally:
            loop.remove_reader(self.channel.fd_in)
            for task in self.background:
                task.cancel()

    def _readable(self) -> None:
        frames = self.channel.poll()
        while frames:
            self._take(*frames.popleft())
        if self.channel.ended:
            asyncio.get_running_loop().remove_reader(self.channel.fd_in)
            self.draining = True
        self._advance()

    def _take(self, head: Dict[str, Any], body: bytes) -> None:
        kind = head["t"]
        if kind == "task" and not self.draining:
            self.waiting.append(Context(head, body, self.channel))
        elif kind == "welcome":
            _welcome(self.channel, head)
            self.concurrency = min(self.concurrency, head.get("concurrency") or self.concurrency)
            if self.worker.heartbeat and head.get("beat_ms"):
                self.background.add(asyncio.ensure_future(self._beat(head["beat_ms"] / 1000)))
        elif kind == "cancel":
            self._cancel(head)
        elif kind == "ping":
            self.channel.send({"t": "pong", "n": head.get("n")})
        elif kind == "drain":
            self.draining = True

    def _advance(self) -> None:
        while self.waiting and len(self.running) < self.concurrency:
            ctx = self.waiting.popleft()
            self.running[ctx.id] = ctx, asyncio.ensure_future(self._run(ctx))
        if self.draining and not self.running:
            self.over.set()

    def _cancel(self, head: Dict[str, Any]) -> None:
        reason = head.get("reason") or "cancelled"
        for ctx in list(self.waiting):
            if ctx.id == head.get("id"):
                self.waiting.remove(ctx)
                _reply(self.channel, ctx, None, Cancelled(reason))
        running = self.running.get(head.get("id", 0))
        if running is not None:
            running[0].cancelled = reason
            if not running[0].begun:
                return  # cancelled now, it would not even begin, and never reply
            if inspect.iscoroutinefunction(self.tasks.get(running[0].name)):
                running[1].cancel()

    async def _run(self, ctx: Context) -> None:
        _current.set(ctx)  # in the context of this asyncio task alone
        result: Any = None
        error: Optional[BaseException] = None
        function, args, kwargs = None, [], {}  # type: ignore[var-annotated]
        ctx.begun = True
        try:
            if ctx.cancelled is not None:
                raise Cancelled(ctx.cancelled)
            function, args, kwargs = _prepare(self.tasks, ctx)
            if inspect.iscoroutinefunction(function):
                result = await function(*args, **kwargs)
            else:
                inside = contextvars.copy_context()
                call = lambda: inside.run(function, *args, **kwargs)  # noqa: E731
                result = await asyncio.get_running_loop().run_in_executor(self.pool, call)
        except asyncio.CancelledError as e:
            error = Cancelled(ctx.cancelled) if ctx.cancelled else e
        except BaseException as e:
            error = _check_arguments(e, function, args, kwargs)
        _reply(self.channel, ctx, result, error)
        del self.running[ctx.id]
        self._advance()
        if isinstance(error, KeyboardInterrupt):
            raise error

    async def _beat(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            if self.running:
                self.channel.send({"t": "beat"})


def _welcome(channel: _Channel, head: Dict[str, Any]) -> None:
    channel.max_header = head.get("max_header") or channel.max_header
    channel.max_body = head.get("max_body") or channel.max_body


def _check_cancelled(channel: _Channel, ctx: Context) -> None:
    ctx.cancelled = channel.cancelled(ctx.id)
    if ctx.cancelled is not None:
        raise Cancelled(ctx.cancelled)


def _prepare(tasks: Dict[str, Callable[..., Any]], ctx: Context) -> Tuple[Callable[..., Any], List[Any], Dict[str, Any]]:
    function = tasks.get(ctx.name)
    if function is None:
        raise Discard(f"no task {ctx.name!r} here")
    args, kwargs = ctx._arguments()
    return function, args, kwargs


def _reply(channel: _Channel, ctx: Context, result: Any, error: Optional[BaseException]) -> None:
    """Send the one reply to a task."""
    if error is None:
        try:
            if result is None:
                channel.done(ctx.id)
                return
            body = result if isinstance(result, bytes) else _encode_result(result).encode()
            channel.send({"t": "ok", "id": ctx.id}, body)
            return
        except (ValueError, TypeError, RecursionError) as e:
            error = Discard(f"the task is done, but not its result: {e}")
    if isinstance(error, Retry):
        channel.send({"t": "retry", "id": ctx.id, "after_ms": _milliseconds(error.after), "msg": _text(error)})
        return
    head = {"t": "error", "id": ctx.id, "kind": type(error).__name__[:256], "msg": _text(error)}
    if isinstance(error, Discard):
        head["permanent"] = True
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    channel.send(head, trace[-_TRACE:].encode(errors="replace")[-channel.max_body :])


def _milliseconds(seconds: float) -> int:
    """What is no time, such as infinity, is left to the pool."""
    try:
        return max(0, min(round(float(seconds) * 1000), 1 << 48))
    except (TypeError, ValueError, OverflowError):
        return 0


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_TEXT]
    except Exception:
        return "an error whose text cannot be had"


def _check_arguments(error: BaseException, function: Optional[Callable[..., Any]], args: List[Any], kwargs: Dict[str, Any]) -> BaseException:
    """A TypeError because the arguments do not fit is for ever; one from inside the function is not."""
    if isinstance(error, TypeError) and function is not None:
        try:
            inspect.signature(function).bind(*args, **kwargs)
        except TypeError as e:
            return Discard(str(e)).with_traceback(error.__traceback__)
        except ValueError:
            pass  # a builtin without a signature
    return error

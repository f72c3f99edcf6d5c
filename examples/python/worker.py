"""A worker in Python: compresses files."""

import errno
import gzip
import logging
import os

from magne_worker import Discard, Retry, Worker, current

worker = Worker()
CHUNK = 1 << 20


@worker.task
def compress(source: str, target: str) -> dict:
    """Write source, compressed, to target. Doing it twice does no harm."""
    partial = f"{target}.{os.getpid()}"
    try:
        size = os.stat(source).st_size
        with open(source, "rb") as plain, gzip.open(partial, "wb") as packed:
            while chunk := plain.read(CHUNK):
                packed.write(chunk)
                current().progress(100 * plain.tell() / max(size, 1), source)
        os.replace(partial, target)
    except FileNotFoundError as e:
        raise Discard(str(e)) from e  # it will not be there the next time
    except OSError as e:
        if e.errno == errno.ENOSPC:
            raise Retry("the disk is full", after=60) from e
        raise
    logging.info("compressed", extra={"source": source, "bytes": size})
    return {"bytes": size, "compressed": os.stat(target).st_size}


if __name__ == "__main__":
    worker.run()

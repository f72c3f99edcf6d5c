"""A Celery application: a worker, or with "client" as argument its client."""
import json
import os
import sys

from celery import Celery

app = Celery("clienttest", broker=os.environ["AMQP_URL"], backend="rpc://")
prefix = os.environ["PREFIX"]
app.conf.update(
    task_default_queue=prefix,
    task_acks_late=True,
    worker_prefetch_multiplier=2,
    control_exchange=prefix + "ctl",
    event_exchange=prefix + "ev",
)


@app.task(name="add")
def add(x, y):
    return x + y


@app.task(name="flaky", bind=True, max_retries=2, default_retry_delay=0)
def flaky(self):
    if self.request.retries < 1:
        raise self.retry(countdown=0.1)
    return self.request.retries


def client():
    results = [add.delay(i, i) for i in range(20)]
    sums = [r.get(timeout=60) for r in results]
    retried = flaky.delay().get(timeout=60)
    pongs = app.control.ping(timeout=5)
    app.control.shutdown()
    print(json.dumps({"sums": sums, "retries": retried, "pongs": [list(p.values())[0]["ok"] for p in pongs]}))


if __name__ == "__main__" and sys.argv[1:] == ["client"]:
    client()

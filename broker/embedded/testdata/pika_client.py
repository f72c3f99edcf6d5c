"""What Python programs use of pika, against the broker at the URL."""
import sys

import pika
from pika.exceptions import (ChannelClosedByBroker, NackError, ProbableAccessDeniedError,
                             ProbableAuthenticationError, UnroutableError)

params = pika.URLParameters(sys.argv[1])
params.heartbeat = 5
connection = pika.BlockingConnection(params)
channel = connection.channel()

# Dead letters of a queue with a limit, by a topic exchange.
channel.exchange_declare("dead", "topic", durable=True)
channel.queue_declare("dead", durable=True)
channel.queue_bind("dead", "dead", "#")
channel.queue_declare("work", durable=True, arguments={
    "x-dead-letter-exchange": "dead", "x-max-length": 100, "x-overflow": "reject-publish", "x-max-priority": 3})

channel.confirm_delivery()
for i in range(50):
    channel.basic_publish("", "work", b"%d" % i, pika.BasicProperties(
        delivery_mode=2, headers={"n": i, "nested": {"a": [1, 1 << 40, "x", None, True]}}, priority=1), mandatory=True)
try:
    channel.basic_publish("", "nowhere", b"x", mandatory=True)
    raise SystemExit("an unroutable message was taken")
except UnroutableError as e:
    assert e.messages[0].method.reply_code == 312, e

# Consume, with a prefetch, and settle in all ways.
channel.basic_qos(prefetch_count=10)
seen = 0
for method, properties, body in channel.consume("work", inactivity_timeout=10):
    assert method is not None, "nothing comes"
    assert body == b"%d" % seen and properties.headers["n"] == seen, (body, seen)
    assert properties.headers["nested"] == {"a": [1, 1 << 40, "x", None, True]}, properties.headers
    if seen % 10 == 7:
        channel.basic_nack(method.delivery_tag, requeue=False)
    else:
        channel.basic_ack(method.delivery_tag)
    seen += 1
    if seen == 50:
        break
channel.cancel()
for n in (7, 17, 27, 37, 47):
    method, properties, body = channel.basic_get("dead", auto_ack=True)
    assert body == b"%d" % n, body
    death = properties.headers["x-death"][0]
    assert (death["queue"], death["reason"], death["count"]) == ("work", "rejected", 1), death
assert channel.basic_get("dead") == (None, None, None)

# A full queue.
for i in range(100):
    channel.basic_publish("", "work", b"")
try:
    channel.basic_publish("", "work", b"one too many")
    raise SystemExit("a full queue took a message")
except NackError:
    pass
assert channel.queue_purge("work").method.message_count == 100

# A large message, in many frames.
large = bytes(range(256)) * 4096
channel.basic_publish("", "work", large)
method, _, body = channel.basic_get("work", auto_ack=True)
assert body == large

# An error closes the channel only.
try:
    channel.queue_declare("work", durable=False)
    raise SystemExit("a queue was declared differently")
except ChannelClosedByBroker as e:
    assert e.reply_code == 406 and e.reply_text.startswith(
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'work' in vhost '/'"), e
channel = connection.channel()
channel.queue_delete("work")
channel.queue_delete("dead")
channel.exchange_delete("dead")
connection.close()

params.virtual_host = "other"
try:
    pika.BlockingConnection(params)
    raise SystemExit("there is another vhost")
except ProbableAccessDeniedError as e:
    assert "vhost other not found" in str(e), e
params.virtual_host = "/"
params.credentials = pika.PlainCredentials("guest", "wrong")
try:
    pika.BlockingConnection(params)
    raise SystemExit("any password does")
except ProbableAuthenticationError:
    pass
print("ok")

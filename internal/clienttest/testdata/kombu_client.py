"""Does with kombu what programs do, and prints what came of it as JSON."""
import json
import socket
import sys

from kombu import Connection, Exchange, Queue

url, prefix = sys.argv[1:3]
seen = {}

with Connection(url, transport_options={"confirm_publish": True}) as connection:
    channel = connection.channel()
    dead_exchange = Exchange(prefix + ".dead", "fanout", durable=True, channel=channel)
    dead = Queue(prefix + ".dead", dead_exchange, durable=True, channel=channel)
    dead.declare()
    exchange = Exchange(prefix, "topic", durable=True, channel=channel)
    queue = Queue(
        prefix,
        exchange,
        routing_key="task.#",
        durable=True,
        channel=channel,
        queue_arguments={"x-dead-letter-exchange": prefix + ".dead"},
    )
    queue.declare()

    producer = connection.Producer(channel)
    for i in range(10):
        producer.publish({"n": i}, exchange=exchange, routing_key="task.run", serializer="json", delivery_mode=2)

    returned = []
    channel.events["basic_return"].add(lambda exc, *rest: returned.append(exc.reply_code))
    producer.publish("nobody", exchange=exchange, routing_key="other", mandatory=True)
    try:
        while not returned:
            connection.drain_events(timeout=5)
    except socket.timeout:
        pass
    seen["returned"] = returned

    got = []

    def on_message(body, message):
        got.append(body["n"])
        if body["n"] % 3 == 0:
            message.reject()
        else:
            message.ack()

    with connection.Consumer([queue], callbacks=[on_message], accept=["json"], prefetch_count=4):
        while len(got) < 10:
            connection.drain_events(timeout=10)
    seen["consumed"] = got

    letters = []
    while len(letters) < 4:
        message = dead.get(no_ack=False, accept=["json"])
        if message is None:
            continue
        death = message.headers["x-death"][0]
        letters.append([message.payload["n"], death["reason"], death["queue"], death["count"], death["routing-keys"]])
        message.ack()
    seen["dead"] = [[n, reason, name.replace(prefix, "Q"), count, keys] for n, reason, name, count, keys in letters]

    producer.publish({"n": 99}, exchange=exchange, routing_key="task.x")
    seen["purged"] = queue.purge()
    seen["empty"] = queue.get() is None
    seen["deleted"] = queue.delete()
    dead.delete()
    exchange.delete()
    dead_exchange.delete()

print(json.dumps(seen))

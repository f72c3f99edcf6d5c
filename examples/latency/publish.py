#!/usr/bin/env python3
"""Publish magne's latency benchmark, exactly as magne's own bench does.

    publish.py [N]      (default: 10 tasks)

AMQP_URL names the broker; by default the one on this machine. Needs pika
(Debian: apt-get install python3-pika). It may run before or after
`magne-actors run -c examples/latency/magne.yaml`: both declare the same
exchange and queue.
"""
import os
import sys

import pika


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2F")
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    name = "magne_latency_bench".upper()
    channel.exchange_declare(name)
    channel.queue_declare(name)
    channel.queue_bind(name, name, name)
    for _ in range(count):
        channel.basic_publish("MAGNE_LATENCY_BENCH",
                              "MAGNE_LATENCY_BENCH",
                              '{"func": "magne_latency_bench", "args": []}')
    connection.close()
    print(f"published {count} tasks to {name}")


if __name__ == "__main__":
    main()

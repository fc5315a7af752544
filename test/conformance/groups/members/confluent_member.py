"""A member that is a consumer of the Python package confluent-kafka (librdkafka).

Arguments: the directory that the wheel is in, and the configuration. The line protocol is told in ../line-protocol.ts.
"""

import json
import os
import sys
import threading
import time

sys.path.insert(0, sys.argv[1])
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition  # noqa: E402

config = json.loads(sys.argv[-1])
commands = []
owned = set()


def emit(event, **rest):
    line = json.dumps({"event": event, "at": time.time_ns() // 1000, **rest}) + "\n"
    os.write(1, line.encode())


def by_topic(partitions):
    result = {}
    for topic, partition in sorted(partitions):
        result.setdefault(topic, []).append(partition)
    return result


def tell_owned():
    emit("owns", partitions=by_topic(owned))


def listen():
    for line in sys.stdin:
        commands.append(json.loads(line)["command"])
        return
    os._exit(2)


def on_assign(consumer, partitions):
    owned.update((p.topic, p.partition) for p in partitions)
    tell_owned()


def on_revoke(consumer, partitions):
    owned.difference_update((p.topic, p.partition) for p in partitions)
    tell_owned()


def commit(consumer, positions):
    offsets = {}
    for (topic, partition), offset in positions.items():
        offsets.setdefault(topic, {})[str(partition)] = offset
    emit("commit", offsets=offsets)
    try:
        done = consumer.commit(
            offsets=[TopicPartition(t, p, o) for (t, p), o in positions.items()], asynchronous=False
        )
        failed = [f"{p.topic}-{p.partition}: {p.error.name()}" for p in done if p.error]
        if failed:
            emit("commit-failed", offsets=offsets, error=", ".join(failed))
        else:
            emit("committed", offsets=offsets)
    except KafkaException as error:
        emit("commit-failed", offsets=offsets, error=f"{error.args[0].name()}: {error}")


def settings():
    result = {
        "bootstrap.servers": config["brokers"],
        "client.id": config["clientId"],
        "group.id": config["groupId"],
        "group.protocol": config["protocol"],
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "fetch.wait.max.ms": 100,
        "max.poll.interval.ms": max(config["rebalanceTimeoutMs"], config["sessionTimeoutMs"]),
        "topic.metadata.refresh.interval.ms": 2000,
        "reconnect.backoff.max.ms": 500,
    }
    if config["instanceId"] is not None:
        result["group.instance.id"] = config["instanceId"]
    if config["protocol"] == "classic":
        result["partition.assignment.strategy"] = config["assignor"]
        result["session.timeout.ms"] = config["sessionTimeoutMs"]
        result["heartbeat.interval.ms"] = config["heartbeatIntervalMs"]
    else:
        result["group.remote.assignor"] = config["assignor"]
    return result


def main():
    threading.Thread(target=listen, daemon=True).start()
    consumer = Consumer(settings())
    topics = config["topics"] if config["pattern"] is None else [config["pattern"]]
    consumer.subscribe(topics, on_assign=on_assign, on_revoke=on_revoke, on_lost=on_revoke)
    while not commands:
        positions = {}
        for message in consumer.consume(num_messages=50, timeout=0.05):
            error = message.error()
            if error is not None:
                if error.fatal() or error.code() == KafkaError._FATAL:
                    raise KafkaException(error)
                print(error, file=sys.stderr)
                continue
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            value = message.value().decode()
            emit("record", topic=topic, partition=partition, offset=offset, value=value)
            positions[(topic, partition)] = offset + 1
        # A rebalance may have been served by the same call: what is owned no more is another member's to commit.
        positions = {place: offset for place, offset in positions.items() if place in owned}
        if positions:
            commit(consumer, positions)
    consumer.close()
    emit("left")


try:
    main()
except Exception as error:  # Whatever it is, the harness is to hear of it.
    emit("failed", error=repr(error))
    sys.exit(1)

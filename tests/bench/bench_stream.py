#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a message costs from topic to topic, beside consumers in Python, in one run: 100 trees of depth 6 over 8 features in each.

    tests/bench/bench_stream.py [--rounds 3] [--messages 50000] [--python VENV/bin/python] [--json FILE]

Broker: Apache Kafka (deps/kafka.sh), else librdkafka's mock cluster, which is said. All read the same topic of 2 partitions, in
turns, each with a group of its own, write a decision a message with acks=all and idempotence, and commit behind it:

    gyre            gyre stream --to kafka://..., which serves the model itself: with the prediction log, on the disk before the commit
    python-batch    confluent-kafka (librdkafka as well), orjson, 1000 messages a Booster.inplace_predict, flushed, committed; no log
    python-single   the same with a prediction a message, as consumers are mostly written

--python has confluent-kafka, xgboost, numpy, orjson. CPU is user and system of the process: each runs once for the first FEW messages
and once for all of them, and the difference of the two is what the others cost, so start and imports are not in it. The rate is of the
whole second run, start and joining the group included. Answers of all are compared. Exit 1 when they differ or one is missing.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "bench"))
import kafka  # noqa: E402
import kafkabroker  # noqa: E402
import serve  # noqa: E402
import support  # noqa: E402

FEW = 2000
PEER = """
import sys, numpy as np, orjson, xgboost
from confluent_kafka import Consumer, Producer
brokers, group, to, how, n, model = sys.argv[1:7]
n, batch = int(n), how == "python-batch"
booster = xgboost.Booster({"nthread": 1}); booster.load_model(model)
names = [f"x{i}" for i in range(booster.num_features())]
predict = lambda rows: booster.inplace_predict(np.asarray(rows, dtype=np.float32), validate_features=False)
consumer = Consumer({"bootstrap.servers": brokers, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False})
producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 0.5})
failed = []
def on_delivered(err, message):
    if err: failed.append(err)
consumer.subscribe(["in"])
done = 0
while done < n:
    messages = [m for m in consumer.consume(min(1000, n - done), 0.2) if not m.error()]
    if not messages: continue
    rows = [[(d := orjson.loads(m.value()))[x] for x in names] for m in messages]
    answers = predict(rows) if batch else [predict([row])[0] for row in rows]
    for m, p in zip(messages, answers):
        source = f"{m.topic()}/{m.partition()}/{m.offset()}"
        value = orjson.dumps({"prediction": int(p > 0.5), "probability": float(p), "model_version": "1"})
        while True:
            try:
                producer.produce(to, value, m.key(), headers={"gyre-source": source}, on_delivery=on_delivered)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(60) or failed: raise SystemExit(f"not delivered: {failed[:1]}")
    consumer.commit(message=None, asynchronous=False)
    done += len(messages)
consumer.close()
"""


class Mock(kafka.Cluster):
    name = "librdkafka's mock cluster"

    def __init__(self, _):
        super().__init__(**{"in": 2, "out-gyre": 2, "out-python-batch": 2, "out-python-single": 2})

    def kill(self):
        self.close()


def start_broker(folder):
    folder.mkdir()
    try:
        broker = kafkabroker.Broker(folder)
        broker.name = "Apache Kafka"
        return broker
    except kafkabroker.Missing as why:
        print(why, file=sys.stderr)
        return Mock(folder)


def messages(n):
    rng = random.Random(3)
    return [(b"k%d" % (i % 97), json.dumps({f"x{k}": round(rng.gauss(0, 1), 6) for k in range(serve.FEATURES)}).encode(), i % 2) for i in range(n)]


def run(command, folder, env):
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(list(map(str, command)), cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=300)
    seconds, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one(options, folder, broker, name, group, n):
    if name == "gyre":
        command = [support.BIN, "stream", "m", "--from", f"kafka://{broker.brokers}/in", "--to", f"kafka://{broker.brokers}/out-gyre",
                   "--group", group, "--max-messages", n, "--home", folder / "home"]
    else:
        model = next((folder / "home" / "cache" / "models").iterdir()) / "model.ubj"
        command = [options.python, folder / "peer.py", broker.brokers, group, f"out-{name}", name, n, model]
    used = run(command, folder, {**support.clean_env(), "OMP_NUM_THREADS": "1"})
    if sum(o for o in kafka.committed(broker.brokers, "in", group, 2) if o > 0) != n:
        raise SystemExit(f"{name} has not committed all")
    return used


def measure(options, folder, broker):
    server = support.Server(folder / "home")
    server.start()
    serve.deploy(server, folder)
    server.stop()
    (folder / "peer.py").write_text(PEER)
    kafka.put(broker.brokers, "in", messages(options.messages), timeout_s=120)
    names = ["gyre"] + (["python-batch", "python-single"] if options.python else [])
    rounds = {name: [] for name in names}
    for i in range(options.rounds):
        for name in names:
            few, everything = (one(options, folder, broker, name, f"{name}-{i}-{n}", n) for n in (FEW, options.messages))
            rounds[name].append({"per_s": options.messages / everything[0], "cpu_us": (everything[1] - few[1]) / (options.messages - FEW) * 1e6})
    return rounds


def compare(options, broker, names):
    """The largest difference between probabilities of the same message; each has as many decisions as messages a round."""
    seen = {}
    want = (options.messages + FEW) * options.rounds
    for name in names:
        found = kafka.get(broker.brokers, f"out-{name}", 2, want=want)
        if len(found) != want:
            raise SystemExit(f"{name}: {len(found)} decisions")
        seen[name] = {m["headers"]["gyre-source"]: json.loads(m["value"])["probability"] for m in found}
        if len(seen[name]) != options.messages:
            raise SystemExit(f"{name}: decisions of {len(seen[name])} messages")
    return max(abs(seen[name][s] - p) for name in names for s, p in seen["gyre"].items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=50000)
    parser.add_argument("--python", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        broker = start_broker(folder / "kafka")
        try:
            rounds = measure(options, folder, broker)
            apart = compare(options, broker, rounds)
        finally:
            broker.kill()
    table = {name: {k: statistics.median(r[k] for r in rows) for k in rows[0]} for name, rows in rounds.items()}
    print(f"{broker.name}, {options.messages} messages, medians of {options.rounds} rounds, load {os.getloadavg()[0]:.1f}; probabilities are at most {apart:.1e} apart")
    for name, row in table.items():
        print(f"{name:14} {row['per_s']:10.0f} messages/s {row['cpu_us']:8.2f} us CPU a message")
    if options.json:
        options.json.write_text(json.dumps({"broker": broker.name, "messages": options.messages, "apart": apart, **table}))
    return 0 if apart < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())

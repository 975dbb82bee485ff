# SPDX-License-Identifier: Apache-2.0
"""Kafka for tests: librdkafka's own mock cluster, and a plain client of any cluster, through ctypes.

The cluster lives in the process of the tests, in threads of librdkafka; programs under test reach it by TCP.
"""

import ctypes
import time
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p

try:
    lib = ctypes.CDLL("librdkafka.so.1")
except OSError:
    lib = None


class Message(ctypes.Structure):
    _fields_ = [("err", c_int), ("rkt", c_void_p), ("partition", c_int32), ("payload", c_void_p), ("len", c_size_t),
                ("key", c_void_p), ("key_len", c_size_t), ("offset", c_int64), ("private", c_void_p)]


class Partition(ctypes.Structure):
    _fields_ = [("topic", c_char_p), ("partition", c_int32), ("offset", c_int64), ("metadata", c_void_p),
                ("metadata_size", c_size_t), ("opaque", c_void_p), ("err", c_int), ("private", c_void_p)]


class Partitions(ctypes.Structure):
    _fields_ = [("cnt", c_int), ("size", c_int), ("elems", POINTER(Partition))]


def declare():
    """Only what returns a pointer has to be declared."""
    for name in ["conf_new", "new", "mock_cluster_new", "topic_new", "topic_partition_list_new", "headers_new",
                 "topic_partition_list_add"]:
        getattr(lib, "rd_kafka_" + name).restype = c_void_p
    lib.rd_kafka_mock_cluster_bootstraps.restype = c_char_p
    lib.rd_kafka_err2str.restype = c_char_p
    lib.rd_kafka_consumer_poll.restype = POINTER(Message)


if lib:
    declare()

PRODUCER, CONSUMER = 0, 1


def client(kind, **settings):
    conf = c_void_p(lib.rd_kafka_conf_new())
    why = ctypes.create_string_buffer(200)
    settings.setdefault("log_level", "0")
    for name, value in settings.items():
        name = name if name == "log_level" else name.replace("_", ".")
        assert lib.rd_kafka_conf_set(conf, name.encode(), str(value).encode(), why, c_size_t(200)) == 0, why.value
    made = lib.rd_kafka_new(kind, conf, why, c_size_t(200))
    assert made, why.value
    return c_void_p(made)


class Cluster:
    """One broker; topics by name and number of partitions."""

    def __init__(self, brokers=1, **topics):
        self.owner = client(PRODUCER)
        self.cluster = c_void_p(lib.rd_kafka_mock_cluster_new(self.owner, brokers))
        self.brokers = lib.rd_kafka_mock_cluster_bootstraps(self.cluster).decode()
        for name, partitions in topics.items():
            self.topic(name, partitions)

    def topic(self, name, partitions=1):
        assert lib.rd_kafka_mock_topic_create(self.cluster, name.encode(), partitions, 1) == 0

    def url(self, topic):
        return f"kafka://{self.brokers}/{topic}"

    def broker_down(self, down=True):
        """All of its brokers refuse connections, or take them again."""
        call = lib.rd_kafka_mock_broker_set_down if down else lib.rd_kafka_mock_broker_set_up
        assert call(self.cluster, c_int32(1)) == 0

    def close(self):
        lib.rd_kafka_mock_cluster_destroy(self.cluster)
        lib.rd_kafka_destroy(self.owner)


def put(brokers, topic, messages, timeout_s=30):
    """messages: (key, value) as bytes or None; (key, value, partition) for a partition of one's own choice."""
    producer = client(PRODUCER, bootstrap_servers=brokers)
    handle = c_void_p(lib.rd_kafka_topic_new(producer, topic.encode(), None))
    for key, value, *where in messages:
        while lib.rd_kafka_produce(handle, c_int32(where[0] if where else -1), 2, value, c_size_t(len(value or b"")), key,
                                   c_size_t(len(key or b"")), None) != 0:
            lib.rd_kafka_poll(producer, 100)
    assert lib.rd_kafka_flush(producer, int(timeout_s * 1000)) == 0, "not all messages were delivered"
    lib.rd_kafka_topic_destroy(handle)
    lib.rd_kafka_destroy(producer)


def bytes_of(pointer, n):
    return ctypes.string_at(pointer, n) if pointer else None


def headers_of(message):
    headers, found = c_void_p(), {}
    if lib.rd_kafka_message_headers(message, byref(headers)) != 0:
        return found
    name, value, n, at = c_char_p(), c_void_p(), c_size_t(), 0
    while lib.rd_kafka_header_get_all(headers, c_size_t(at), byref(name), byref(value), byref(n)) == 0:
        found[name.value.decode()] = (bytes_of(value, n.value) or b"").decode()
        at += 1
    return found


def partitions(topic, n, offset=-2):
    items = c_void_p(lib.rd_kafka_topic_partition_list_new(n))
    for i in range(n):
        one = ctypes.cast(c_void_p(lib.rd_kafka_topic_partition_list_add(items, topic.encode(), c_int32(i))), POINTER(Partition))
        one.contents.offset = offset
    return items


def get(brokers, topic, n_partitions=1, want=None, quiet_s=1.5, timeout_s=90):
    """All messages of a topic: at least `want`, then until nothing came for quiet_s."""
    consumer = client(CONSUMER, bootstrap_servers=brokers, group_id="reader", auto_offset_reset="earliest",
                      enable_auto_commit="false")
    items = partitions(topic, n_partitions)
    assert lib.rd_kafka_assign(consumer, items) == 0
    found, last, end = [], time.monotonic(), time.monotonic() + timeout_s
    while time.monotonic() < end and (len(found) < (want or 0) or time.monotonic() - last < quiet_s):
        message = lib.rd_kafka_consumer_poll(consumer, 100)
        if not message:
            continue
        m = message.contents
        if m.err == 0:
            found.append({"partition": m.partition, "offset": m.offset, "key": bytes_of(m.key, m.key_len),
                          "value": bytes_of(m.payload, m.len), "headers": headers_of(message)})
            last = time.monotonic()
        lib.rd_kafka_message_destroy(message)
    assert len(found) >= (want or 0), f"{len(found)} of {want} messages came within {timeout_s} s"
    lib.rd_kafka_topic_partition_list_destroy(items)
    lib.rd_kafka_consumer_close(consumer)
    lib.rd_kafka_destroy(consumer)
    return found


def written(brokers, topic, n_partitions):
    """How many messages the topic has."""
    reader = client(CONSUMER, bootstrap_servers=brokers, group_id="reader")
    low, high, total = c_int64(), c_int64(), 0
    for i in range(n_partitions):
        code = lib.rd_kafka_query_watermark_offsets(reader, topic.encode(), c_int32(i), byref(low), byref(high), 60000)
        assert code == 0, lib.rd_kafka_err2str(code)
        total += high.value - low.value
    lib.rd_kafka_destroy(reader)
    return total


def committed(brokers, topic, group, n_partitions):
    """The group's offsets; -1001 where it has none."""
    consumer = client(CONSUMER, bootstrap_servers=brokers, group_id=group)
    items = partitions(topic, n_partitions)
    end = time.monotonic() + 60
    while lib.rd_kafka_committed(consumer, items, 10000) != 0:  # a coordinator that is not there yet
        assert time.monotonic() < end
    view = ctypes.cast(items, POINTER(Partitions)).contents
    found = [view.elems[i].offset for i in range(view.cnt)]
    lib.rd_kafka_topic_partition_list_destroy(items)
    lib.rd_kafka_destroy(consumer)
    return found

# SPDX-License-Identifier: Apache-2.0
"""A real Kafka broker of the tests' own, Apache Kafka in Java (deps/kafka.sh), on two ports of loopback.

One process is broker and controller (KRaft). Topics appear, with PARTITIONS, when something is written to them. It may be killed
and started again: .brokers stays, and so does what it has.
"""

import os
import pathlib
import random
import socket
import subprocess
import time

import support

JARS = support.ROOT / ".deps/kafka"
PARTITIONS = 2
START_S = 120

SETTINGS = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/data
num.partitions={partitions}
num.network.threads=1
num.io.threads=2
log.cleaner.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
"""


class Missing(Exception):
    """There is no broker here; the reason is for the counted skip."""


def why_missing():
    done = subprocess.run([support.ROOT / "deps/kafka.sh", "--why"], capture_output=True, text=True, check=False)
    return f"no Kafka broker: {done.stdout.strip()}" if done.returncode == 0 else None


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    """Below those that the system gives away: the port must still be free for a second start."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Broker:
    def __init__(self, folder):
        why = why_missing()
        if why:
            raise Missing(why)
        self.folder = pathlib.Path(folder)
        self.port = controller = free_port()
        while controller == self.port:
            controller = free_port()
        self.brokers = f"127.0.0.1:{self.port}"
        self.process = None
        (self.folder / "server.properties").write_text(
            SETTINGS.format(port=self.port, controller=controller, folder=self.folder, partitions=PARTITIONS))
        subprocess.run([*self.java("kafka.tools.StorageTool"), "format", "--standalone", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c",
                        self.folder / "server.properties"], check=True, capture_output=True, timeout=START_S, env=self.env())
        self.start()

    @staticmethod
    def java(main):
        return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*", main]

    @staticmethod
    def env():
        """Nobody's own options of Java get in between."""
        return {k: v for k, v in os.environ.items() if k not in {"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"}}

    def url(self, topic):
        return f"kafka://{self.brokers}/{topic}"

    def start(self):
        with open(self.folder / "broker.log", "ab") as out:
            self.process = subprocess.Popen([*self.java("kafka.Kafka"), self.folder / "server.properties"], env=self.env(), cwd=self.folder,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        end = time.monotonic() + START_S
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise AssertionError(f"the broker does not start:\n{(self.folder / 'broker.log').read_text()[-4000:]}")
            time.sleep(0.05)

    def kill(self):
        """kill -9, as a crash would; also the end of the tests: nothing of it is wanted any more."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

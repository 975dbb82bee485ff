# SPDX-License-Identifier: Apache-2.0
"""One large artifact up and down: `gyre server` beside `mlflow server` (its default workers, and one), beside a plain copy.

    python tests/bench/bench_artifacts.py [--mb 1024] [--rounds 3] [--mlflow PATH/TO/mlflow] [--skip-mlflow]

All in one run, on one disk, round after round in turn; the median counts. The client is the same for all: the file goes up by
sendfile into a PUT with Content-Length, and comes down into one buffer that is thrown away, so that it costs as little as
can be. Beside them, without any server: up, `cp` and fsync of the copy; down, another process that sends the file by sendfile
over a loopback connection. Memory is the sum of VmHWM over all processes of a server, at the end.
Prints one JSON document: MB/s (10^6 bytes), ratios, memory.
"""

import argparse
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import bench_track  # noqa: E402
import support  # noqa: E402

A = "/api/2.0/mlflow-artifacts/artifacts"


def peak_mb(pid):
    total = 0
    for at in bench_track.family(pid):
        try:
            total += int(next(line.split()[1] for line in open(f"/proc/{at}/status") if line.startswith("VmHWM:")))
        except (OSError, StopIteration):
            pass
    return round(total / 1024, 1)


def upload(port, path, file, size):
    """Seconds from the first byte to the answer, which says that the artifact is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.connect()
    with open(file, "rb") as source:
        started = time.perf_counter()
        connection.putrequest("PUT", f"{A}/{path}")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        connection.sock.sendfile(source)
        answer = connection.getresponse()
        text = answer.read()
        took = time.perf_counter() - started
    connection.close()
    if (answer.status, text) != (200, b"{}"):
        raise RuntimeError(f"upload: {answer.status} {text[:300]}")
    return took


def read_all(sock, size):
    buffer, n = bytearray(1 << 20), 0
    while n < size and (got := sock.recv_into(buffer)):
        n += got
    if n < size:
        raise RuntimeError(f"{n} bytes of {size}")


def download(port, path, size):
    with socket.create_connection(("127.0.0.1", port), timeout=600) as sock:
        started = time.perf_counter()
        sock.sendall(f"GET {A}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = sock.recv(4096)
            if not more:
                raise RuntimeError("no answer")
            head += more
        head, _, begun = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head[:200].decode())
        read_all(sock, size - len(begun))
        return time.perf_counter() - started


def check_download(port, path, file):
    """Once, outside of the timing: the same bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", f"{A}/{path}")
    answer, got, wanted = connection.getresponse(), hashlib.sha256(), hashlib.sha256()
    while data := answer.read(1 << 20):
        got.update(data)
    connection.close()
    with open(file, "rb") as source:
        while data := source.read(1 << 20):
            wanted.update(data)
    if got.digest() != wanted.digest():
        raise RuntimeError("the bytes that came back are others")


def plain_up(file, folder):
    to = folder / "copy"
    started = time.perf_counter()
    subprocess.run(["cp", "--reflink=never", file, to], check=True)
    fd = os.open(to, os.O_RDONLY)
    os.fsync(fd)
    took = time.perf_counter() - started
    os.close(fd)
    to.unlink()
    return took


SENDER = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
peer = listener.accept()[0]
with open(sys.argv[1], "rb") as source:
    peer.sendfile(source)
peer.close()
"""


def plain_down(file, size):
    sender = subprocess.Popen([sys.executable, "-c", SENDER, file], stdout=subprocess.PIPE)
    port = int(sender.stdout.readline())
    with socket.create_connection(("127.0.0.1", port)) as sock:
        started = time.perf_counter()
        read_all(sock, size)
        took = time.perf_counter() - started
    sender.wait()
    sender.stdout.close()
    return took


class Gyre:
    def __init__(self, folder):
        self.server = support.Server(folder / "gyre").start()
        self.port, self.pid = self.server.port, self.server.pid

    def stop(self):
        self.server.stop()
        self.server.clean()


class Mlflow:
    def __init__(self, folder, program, workers):
        root = folder / f"mlflow{workers or ''}"
        root.mkdir()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen(
            [program, "server", "--host", "127.0.0.1", "--port", str(self.port), "--backend-store-uri", f"sqlite:///{root}/mlflow.db",
             "--artifacts-destination", str(root / "artifacts"), *(["--workers", str(workers)] if workers else [])],
            cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "TMPDIR": str(folder)})
        self.pid = self.process.pid
        bench_track.wait_ready(self.port, self.process)
        bench_track.warm_up(self.port)

    def stop(self):
        bench_track.end_family(self.process)


def make_file(path, size):
    with open(path, "wb") as out:
        left = size
        while left:
            piece = os.urandom(min(left, 1 << 24))
            out.write(piece)
            left -= len(piece)
    os.sync()
    with open(path, "rb") as source:  # into the page cache
        while source.read(1 << 24):
            pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mlflow", default=shutil.which("mlflow") or str(support.ROOT / ".venv" / "bin" / "mlflow"))
    parser.add_argument("--skip-mlflow", action="store_true")
    options = parser.parse_args()
    size = options.mb << 20
    servers, seconds, out = {}, {}, {"mb": options.mb, "rounds": options.rounds}

    def note(name, way, took):
        seconds.setdefault(name, {}).setdefault(way, []).append(took)
        print(f"{name} {way}: {took:.2f} s", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        file = folder / "file.bin"
        make_file(file, size)
        try:
            servers["gyre"] = Gyre(folder)
            if not options.skip_mlflow:
                servers["mlflow"] = Mlflow(folder, options.mlflow, None)
                servers["mlflow_1_worker"] = Mlflow(folder, options.mlflow, 1)
            for i in range(options.rounds):
                with open(file, "r+b") as change:  # other bytes each time: the same ones would be known
                    change.write(os.urandom(64))
                note("plain", "up", plain_up(file, folder))
                note("plain", "down", plain_down(file, size))
                for key, one in servers.items():
                    note(key, "up", upload(one.port, f"0/r/artifacts/{i}.bin", file, size))
                    note(key, "down", download(one.port, f"0/r/artifacts/{i}.bin", size))
            for key, one in servers.items():
                out.setdefault("peak_mb", {})[key] = peak_mb(one.pid)
                check_download(one.port, f"0/r/artifacts/{options.rounds - 1}.bin", file)
        finally:
            for one in servers.values():
                one.stop()
    out["mb_per_s"] = {key: {way: round(size / 1e6 / statistics.median(v), 1) for way, v in ways.items()} for key, ways in seconds.items()}
    ours = out["mb_per_s"]["gyre"]
    out["gyre_to"] = {key: {way: round(ours[way] / v, 2) for way, v in ways.items()} for key, ways in out["mb_per_s"].items() if key != "gyre"}
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()

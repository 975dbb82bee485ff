# SPDX-License-Identifier: Apache-2.0
"""Between client and server stands one that loses answers: what the client sends again must count once."""

import http.client
import http.server
import threading
import urllib.parse

import mlflow
import pytest
from mlflow.entities import Metric, Param, RunTag


class Lossy(http.server.ThreadingHTTPServer):
    """Passes each request on; the first answer to each path is thrown away and 503 told instead."""

    daemon_threads = True

    def __init__(self, upstream):
        self.upstream = urllib.parse.urlsplit(upstream).netloc
        self.seen = {}
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        ask = http.client.HTTPConnection(self.server.upstream, timeout=60)
        ask.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k.lower() in ("content-type", "accept")})
        answer = ask.getresponse()
        data = answer.read()
        ask.close()
        with self.server.lock:
            path = self.path.split("?")[0]
            self.server.seen[path] = self.server.seen.get(path, 0) + 1
            lost = self.server.seen[path] == 1
        self.send_response(503 if lost else answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", "0" if lost else str(len(data)))
        self.end_headers()
        if not lost:
            self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = pass_on

    def log_message(self, *_):
        pass


@pytest.fixture
def lossy(side):
    server = Lossy(side.url)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_sent_twice_counts_once(side, lossy):
    run = side.client.create_run(side.experiment()).info.run_id
    model = side.name("m")
    side.client.create_registered_model(model)
    side.client.create_model_version(model, "s3://bucket/x")
    url = f"http://127.0.0.1:{lossy.server_address[1]}"
    through = mlflow.MlflowClient(url, url)
    through.log_batch(run, [Metric("m", i, 1, i) for i in range(50)], [Param("p", "1")], [RunTag("t", "1")])
    through.log_metric(run, "single", 1.5, timestamp=7, step=1)
    through.log_param(run, "q", "2")
    through.set_tag(run, "u", "3")
    through.set_registered_model_alias(model, "champion", "1")
    through.set_model_version_tag(model, "1", "k", "v")
    through.set_terminated(run)
    through.delete_run(run)
    through.restore_run(run)
    assert all(n >= 2 for n in lossy.seen.values()) and len(lossy.seen) >= 9
    got = side.client.get_run(run)
    assert got.data.params == {"p": "1", "q": "2"} and got.data.tags["t"] == "1" and got.data.tags["u"] == "3"
    assert got.info.status == "FINISHED" and got.info.lifecycle_stage == "active"
    assert [m.value for m in side.client.get_metric_history(run, "m")] == list(range(50))
    assert [m.value for m in side.client.get_metric_history(run, "single")] == [1.5]
    assert side.client.get_model_version(model, "1").aliases == ["champion"]

# SPDX-License-Identifier: Apache-2.0
"""Webhooks as Standard Webhooks says: a receiver that checks each signature and refuses what it likes."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

import pytest
import serving

SECRET = "whsec_" + base64.b64encode(b"a key of exactly thirty-two byte").decode()


def signature(identity, timestamp, body):
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


class Receiver:
    """Answers each message with the next of `answers`, then with 204; keeps what came."""

    def __init__(self):
        self.answers, self.got, self.changed = [], [], threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.changed:
                    status = receiver.answers.pop(0) if receiver.answers else 204
                    receiver.got.append((self.path, self.headers, body, status))
                    receiver.changed.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hook?key=hidden"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def wait(self, n, accepted=False):
        """The first n that came (that were accepted)."""
        def some():
            return [g for g in self.got if not accepted or g[3] < 300]

        with self.changed:
            assert self.changed.wait_for(lambda: len(some()) >= n, timeout=60), f"{len(self.got)} messages came"
            return some()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


def notify(server, targets):
    """A project with this section `notify`, applied."""
    body = {"project": "p", "folder": str(server.home.parent), "endpoints": [], "notify": targets}
    status, answer = serving.by_socket(server, "POST", serving.API + "/watch/apply", body)
    assert status == 200, answer
    until(lambda: len(hooks(server)) == len(targets))


def hooks(server):
    status, answer = serving.by_socket(server, "GET", serving.API + "/webhooks")
    assert status == 200
    return answer["webhooks"]


def until(done):
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def happen(server, name="ann"):
    """An event review.link."""
    status, answer = serving.by_socket(server, "POST", serving.API + "/reviews/link", {"as": name})
    assert status == 201
    return answer["token"]


def check(message):
    """Its body, once the signature was found right."""
    path, headers, body, _ = message
    assert path == "/hook?key=hidden" and headers["Content-Type"] == "application/json"
    assert hmac.compare_digest(headers["webhook-signature"], signature(headers["webhook-id"], headers["webhook-timestamp"], body))
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 300
    return json.loads(body)


def test_a_message_is_signed_and_tried_until_it_is_taken(new_server, receiver):
    server = new_server(env={"HOOK_SECRET": SECRET})
    happen(server, "before")
    notify(server, [{"url": receiver.url, "secret_env": "HOOK_SECRET", "events": ["review.*"]}])
    receiver.answers = [500, 503]
    token = happen(server)
    first, second, third = receiver.wait(3)
    told = [check(m) for m in (first, second, third)]
    assert told[0] == told[1] == told[2]
    assert told[0]["type"] == "review.link" and told[0]["data"]["as"] == "ann" and token not in json.dumps(told)
    assert told[0]["subject"] == "review:link" and told[0]["actor"] and told[0]["seq"] > 0 and told[0]["timestamp"].endswith("Z")
    assert len({m[1]["webhook-id"] for m in (first, second, third)}) == 1 and first[1]["webhook-id"].startswith("msg_")
    until(lambda: hooks(server)[0]["delivered"] == 1)
    assert hooks(server)[0]["pending"] == 0 and hooks(server)[0]["last_error"] is None
    assert SECRET not in server.text() and SECRET[6:] not in server.text() and "hidden" not in server.text()
    assert len(receiver.got) == 3


def test_a_restart_loses_no_message(new_server, receiver, tmp_path):
    home = tmp_path / "kept"
    (tmp_path / "secret").write_text(SECRET + "\n")
    server = new_server(home=home)
    notify(server, [{"url": receiver.url, "secret_file": "secret", "events": ["review.link"]}])
    receiver.answers = [500] * 1000
    happen(server)
    receiver.wait(1)
    until(lambda: hooks(server)[0]["last_error"] == "it answered 500")
    server.kill()
    receiver.answers = []
    server = new_server(home=home)
    taken = receiver.wait(1, accepted=True)
    assert check(taken[0])["data"]["as"] == "ann"
    assert len({m[1]["webhook-id"] for m in receiver.got}) == 1
    until(lambda: hooks(server)[0]["delivered"] == 1)


def test_one_that_wants_no_more_and_one_that_is_not_there(new_server, receiver):
    server = new_server(env={"HOOK_SECRET": SECRET})
    gone = "http://127.0.0.1:1/nobody"
    notify(server, [{"url": receiver.url, "secret_env": "HOOK_SECRET", "events": ["*"]},
                    {"url": gone, "secret_env": "HOOK_SECRET", "events": ["*"]},
                    {"url": "http://127.0.0.1:2/x", "secret_env": "NOT_SET", "events": ["*"]}])
    receiver.answers = [410]
    happen(server, "one")
    happen(server, "two")
    receiver.wait(2)
    until(lambda: all(h["last_error"] or h["delivered"] for h in hooks(server)))
    found = {h["url"]: h for h in hooks(server)}
    until(lambda: {h["url"]: h for h in hooks(server)}[receiver.url]["delivered"] == 1)
    assert {h["url"]: h for h in hooks(server)}[receiver.url]["failed"] == 1
    assert found[gone]["pending"] == 2 and "127.0.0.1:1" in found[gone]["last_error"]
    assert found["http://127.0.0.1:2/x"]["last_error"] == "the variable NOT_SET is not set"
    # Taken out of the project: no longer told.
    notify(server, [])
    assert hooks(server) == []


@pytest.mark.parametrize("target", [
    {"url": "http://127.0.0.1/x", "events": ["*"]},
    {"url": "http://127.0.0.1/x", "secret": SECRET, "events": ["*"]},
    {"url": "http://me:pass@127.0.0.1/x", "secret_env": "S", "events": ["*"]},
    {"url": "http://127.0.0.1/x", "secret_env": "S", "events": []},
])
def test_a_bad_section_is_not_applied(server, target):
    body = {"project": "p", "folder": "/", "endpoints": [], "notify": [target]}
    status, answer = serving.by_socket(server, "POST", serving.API + "/watch/apply", body)
    assert status == 400 and answer["detail"].startswith("notify: ")


def test_addresses_are_not_told_to_anybody(new_server):
    server = new_server()
    assert serving.request(server, "GET", serving.API + "/webhooks")[0] == 401

# SPDX-License-Identifier: Apache-2.0
"""What the tests of logins share: people with tokens, and asking as one of them."""

import base64
import http.client
import json

from serving import API, by_socket

PASSWORD = "correct horse battery"


def basic(user, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def ask(server, method, path, body=None, headers=None, host="127.0.0.1"):
    """(status, answer as JSON or bytes, headers); a body that is not bytes goes as JSON."""
    connection = http.client.HTTPConnection(host, server.port, timeout=60)
    headers = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    kind = answer.getheader("Content-Type") or ""
    return answer.status, json.loads(data) if "json" in kind and "ndjson" not in kind else data, answer.headers


def must(server, method, path, body=None, headers=None):
    status, answer, _ = ask(server, method, path, body, headers)
    assert status in (200, 201), f"{method} {path}: {status} {answer}"
    return answer


def root(server, method, path, body=None):
    """Over the socket, where the user who runs the tests is an admin."""
    status, answer = by_socket(server, method, path, body)
    assert status in (200, 201), f"{method} {path}: {status} {answer}"
    return answer


def add_workspace(server, name):
    return root(server, "POST", "/api/3.0/mlflow/workspaces", {"name": name})["workspace"]


def add_user(server, name, role=None, workspace="default", password=None, service=False):
    """A user; the token of it as headers."""
    root(server, "POST", f"{API}/users", {"name": name, "service": service, "password": password,
                                         "grants": {workspace: role} if role else {}})
    return bearer(add_token(server, name)["token"])


def add_token(server, user, **more):
    return root(server, "POST", f"{API}/tokens", {"user": user, **more})


def audit(server, **query):
    """Rows of the audit log, oldest first."""
    words = "&".join(f"{k}={v}" for k, v in {"limit": 1000, **query}.items())
    return root(server, "GET", f"{API}/audit?{words}")["rows"]

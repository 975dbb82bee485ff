# SPDX-License-Identifier: Apache-2.0
"""SIGTERM on the real server: not ready first, still answering, then gone with exit code 0."""

import signal
import time

import requests


def test_not_ready_before_unreachable(new_server):
    server = new_server(args=["--drain-delay", "1500"])
    with requests.Session() as client:
        assert client.get(server.url + "/v2/health/ready").status_code == 200
        server.signal(signal.SIGTERM)
        end = time.monotonic() + 60
        while client.get(server.url + "/v2/health/ready").status_code == 200:
            assert time.monotonic() < end
        assert requests.get(server.url + "/v2/health/live").status_code == 200  # a new connection, while it drains
    assert server.wait() == 0

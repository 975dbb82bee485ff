# SPDX-License-Identifier: Apache-2.0
"""Relays before a server: one kills the client at a request of the test's choosing, one falls silent or spoils what passes."""

import http.client
import http.server
import threading


class Relay(http.server.ThreadingHTTPServer):
    """Passes requests on to the server. After the one that is to be the last, and before its answer, it kills the client."""

    daemon_threads = True

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), RelayHandler)
        self.to = port
        self.last = None        # kill after this many
        self.victim = None
        self.seen = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class RelayHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def relay(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.to, timeout=60)
            connection.request(self.command, self.path, body or None, {"Content-Type": self.headers.get("Content-Type") or ""})
            answer = connection.getresponse()
            data = answer.read()
            self.server.seen.append((self.command, self.path.split("?")[0]))
            if len(self.server.seen) == self.server.last:
                self.server.victim.kill()
                self.server.victim.wait()
                self.close_connection = True
                return
        self.send_response(answer.status)
        for name in ("Content-Type",):
            if answer.getheader(name):
                self.send_header(name, answer.getheader(name))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = relay


class Valve(http.server.ThreadingHTTPServer):
    """Passes requests on to a server. While `silent` is set it takes them and says nothing; the next `spoil` bodies lose a bit."""

    daemon_threads = True

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), ValveHandler)
        self.to = port
        self.spoil = 0
        self.waiting = 0       # requests that nobody answers
        self.passed = []       # (method, path) of those that were passed on
        self.open = threading.Event()
        self.open.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def silent(self):
        return not self.open.is_set()

    @silent.setter
    def silent(self, value):
        if value:
            self.open.clear()
        else:
            self.open.set()

    def handle_error(self, request, client_address):
        pass  # a client that has left

    def close(self):
        self.open.set()
        self.shutdown()
        self.server_close()


class ValveHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def relay(self):
        body = bytearray(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        if self.server.silent:
            self.server.waiting += 1
            self.server.open.wait()
            self.close_connection = True
            return
        if body and self.server.spoil:
            self.server.spoil -= 1
            body[len(body) // 2] ^= 1
        connection = http.client.HTTPConnection("127.0.0.1", self.server.to, timeout=60)
        connection.request(self.command, self.path, bytes(body) or None, {"Content-Type": self.headers.get("Content-Type") or ""})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        self.server.passed.append((self.command, self.path.split("?")[0]))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type") or "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = relay

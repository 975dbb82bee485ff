# SPDX-License-Identifier: Apache-2.0
"""A relay before a server that kills the client at a request of the test's choosing."""

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

# SPDX-License-Identifier: Apache-2.0
"""A real S3 server of the tests' own, versitygw over a folder (deps/s3-server.sh), and a peer before it that misbehaves as told.

S3Server: .endpoint, .env (keys for gyre), .folder (an object is folder/BUCKET/KEY, which the tests look at directly).
Faulty:   passes requests on as they are, so that the real server checks their signatures, but for those that its rule picks:

    rule(request) -> None          pass it on
                     (503, xml)    answer so instead
                     "drop"        break off before it is passed on
                     "lose"        pass it on, then break off without the answer
                     "cut"         pass it on, send half of the answer's body, break off
                     "damage"      pass it on, change a byte of the answer's body
                     "hang"        never answer, until the connection goes

request has .method, .path, .query, .n (its number, from 1), .headers.
"""

import email.utils
import hashlib
import hmac
import http.client
import http.server
import os
import pathlib
import socket
import subprocess
import threading
import time
import types
import urllib.parse

import support

PROGRAM = support.ROOT / ".deps/s3/versitygw"
ACCESS, SECRET = "gyre-test", "the/secret+of=tests"
START_S = 60


class Missing(Exception):
    """There is no S3 server here; the reason is for the counted skip."""


def why_missing():
    done = subprocess.run([support.ROOT / "deps/s3-server.sh", "--why"], capture_output=True, text=True, check=False)
    return f"no S3 server: {done.stdout.strip() or 'deps/s3-server.sh was not run'}"


def keys(endpoint, access=ACCESS, secret=SECRET):
    """The environment of a gyre that uses this endpoint: no profile of the user's is read."""
    return {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
            "AWS_REGION": "us-east-1", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_CONFIG_FILE": "/dev/null",
            "GYRE_S3_ENDPOINT": endpoint}


class S3Server:
    def __init__(self, folder):
        if not os.access(PROGRAM, os.X_OK):
            raise Missing(why_missing())
        self.base = pathlib.Path(folder)
        self.folder = self.base / "s3"
        self.folder.mkdir(parents=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.env = keys(self.endpoint)
        self.process = None
        self.start()

    def start(self):
        with open(self.base / "s3.log", "ab") as out:
            self.process = subprocess.Popen([PROGRAM, "--port", f"127.0.0.1:{self.port}", "--keep-alive", "posix", self.folder],
                                            env={**os.environ, "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET},
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"the S3 server did not come up: {(self.base / 's3.log').read_text()[-2000:]}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def bucket(self, name):
        (self.folder / name).mkdir()
        return name

    def put(self, bucket, key, data):
        """An object as a client puts it: with an ETag, which a file laid into the folder has not."""
        host, path = f"127.0.0.1:{self.port}", f"/{bucket}/" + urllib.parse.quote(key)
        digest, now = hashlib.sha256(data).hexdigest(), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        names = "host;x-amz-content-sha256;x-amz-date"
        canonical = f"PUT\n{path}\n\nhost:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{now}\n\n{names}\n{digest}"
        to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        secret = b"AWS4" + SECRET.encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        signature = hmac.digest(secret, to_sign.encode(), "sha256").hex()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("PUT", path, data, {"x-amz-content-sha256": digest, "x-amz-date": now, "Authorization":
                           f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders={names}, Signature={signature}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()

    def objects(self, bucket, prefix=""):
        """Keys and sizes of what is visible; what the server keeps for itself (.sgwtmp) is not."""
        root = self.folder / bucket
        found = {str(p.relative_to(root)): p.stat().st_size for p in root.rglob("*") if p.is_file()}
        return {k: n for k, n in found.items() if k.startswith(prefix) and not k.startswith(".sgwtmp")}

    def uploads(self, bucket):
        """Multipart uploads that are neither completed nor aborted."""
        root = self.folder / bucket / ".sgwtmp" / "multipart"
        return [p for p in root.glob("*/*") if p.is_dir()] if root.is_dir() else []


class Faulty(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, to):
        super().__init__(("127.0.0.1", 0), FaultyHandler)
        self.to = to
        self.rule = lambda request: None
        self.date = None  # what it says as Date of its own answers, Unix seconds
        self.lock = threading.Lock()
        self.seen = []
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def note(self, method, path, headers):
        path, _, query = path.partition("?")
        with self.lock:
            request = types.SimpleNamespace(method=method, path=path, query=query, n=len(self.seen) + 1, headers=headers)
            self.seen.append(request)
            return self.rule(request)

    def handle_error(self, request, client_address):
        pass  # a client that goes away is part of the tests

    def stop(self):
        self.shutdown()
        self.server_close()


class FaultyHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, headers, body, length=None):
        self.send_response_only(status)
        if self.server.date is not None:
            self.send_header("Date", email.utils.formatdate(self.server.date, usegmt=True))
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def pass_on(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.to, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        data = answer.read()
        length = int(answer.getheader("Content-Length") or 0) if self.command == "HEAD" else len(data)
        connection.close()
        return answer.status, answer.getheaders(), data, length

    def handle_one(self):
        what = self.server.note(self.command, self.path, self.headers)
        if what == "hang":
            self.rfile.read()
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if what == "drop":
            self.close_connection = True
            return
        if isinstance(what, tuple):
            status, text = what
            self.answer(status, [("Content-Type", "application/xml")], b"" if self.command == "HEAD" else text.encode())
            return
        status, headers, data, length = self.pass_on(body)
        if what == "lose":
            self.close_connection = True
        elif what == "cut":
            self.answer(status, headers, data[:len(data) // 2], len(data))
            self.close_connection = True
        elif what == "damage":
            self.answer(status, headers, bytes([data[0] ^ 1]) + data[1:])
        else:
            self.answer(status, headers, data, length)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one


def error(code, message="as the test wants it"):
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'


SLOW_DOWN = (503, error("SlowDown"))
INTERNAL = (500, error("InternalError"))

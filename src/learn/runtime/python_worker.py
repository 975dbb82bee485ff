# SPDX-License-Identifier: Apache-2.0
"""A model that only Python can load, answering the Open Inference Protocol on a socket that the server made.

    python -I -B -c THIS describe MODEL_DIR      one JSON object: task, classes, inputs
    python -I -B -c THIS serve MODEL_DIR         descriptor 0 is the listening socket; "gyre: ready" when it answers

The answer is one tensor `answer` [n, k]: the value of a regression, the probability of the second of two classes, or of each.
GYRE_BOUND_MS: a call of the model that takes longer ends this process, after "gyre: slow MARK" with the digest of the request;
GYRE_REFUSED: digests of requests that did so in an earlier life, which are not asked again.
The header Gyre-Timeout of a request is how long somebody waits for it: what has not had its turn by then is not asked.
"""
import hashlib
import http.server
import json
import math
import os
import signal
import socket
import socketserver
import sys
import threading
import time
import warnings

MAX_BODY = 64 << 20
NUMBERS = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool"}


class Refused(Exception):
    """Why the model can not be served, or a request not be answered."""


class Late(Exception):
    """Nobody waits for it any more."""


def say(line):
    """To the server, whatever the model has made of sys.stdout or has left of a line."""
    os.write(1, b"\ngyre: " + line.encode() + b"\n")


def text_of(label):
    number = getattr(label, "item", lambda: label)()
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return str(int(number)) if isinstance(number, bool) else str(number)


class Model:
    def __init__(self, folder):
        warnings.filterwarnings("ignore")
        os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
        import mlflow.models
        flavors = mlflow.models.Model.load(folder).flavors
        signature = mlflow.models.Model.load(folder).signature
        if "sklearn" in flavors:
            import mlflow.sklearn
            self.inner = mlflow.sklearn.load_model(folder)
        else:
            import mlflow.pyfunc
            self.inner = mlflow.pyfunc.load_model(folder)
        self.lock = threading.Lock()
        self.running = None  # (since when, digest of the request)
        self.columns, self.tensor = self.inputs(signature)
        self.classes = self.labels()
        self.proba = bool(self.classes) and hasattr(self.inner, "predict_proba")

    def inputs(self, signature):
        """[(name, type)], and whether rows go in as an array."""
        columns = signature.inputs if signature else None
        if columns is not None and not columns.is_tensor_spec():
            found = []
            for c in columns.inputs:
                kind = getattr(c.type, "name", str(c.type))
                if kind not in NUMBERS or not c.name:
                    raise Refused(f"input '{c.name}' is of type {kind}: only named numbers are served by the python runtime")
                found.append((c.name, kind, bool(getattr(c, "required", True))))
            return found, False
        names = getattr(self.inner, "feature_names_in_", None)
        if names is not None:
            return [(str(n), "double", True) for n in names], False
        width = getattr(self.inner, "n_features_in_", None)
        if width is None and columns is not None:
            shape = columns.inputs[0].shape
            width = shape[1] if len(columns.inputs) == 1 and len(shape) == 2 and shape[1] > 0 else None
        if not width:
            raise Refused("nothing says which inputs it takes: log it with a signature")
        return [(f"f{i}", "double", True) for i in range(int(width))], True

    def labels(self):
        labels = getattr(self.inner, "classes_", None)
        if labels is None:
            return []
        if getattr(labels, "ndim", 1) != 1 or len(labels) < 2:
            raise Refused("several targets, or a single class")
        return [text_of(label) for label in labels]

    def describe(self):
        kind = "regression" if not self.classes else "binary" if len(self.classes) == 2 else "multiclass"
        return {"task": kind, "classes": self.classes,
                "inputs": [{"name": n, "type": t, "required": r} for n, t, r in self.columns]}

    def rows(self, columns, n):
        import numpy as np
        if self.tensor:
            return np.array([columns[name] for name, _, _ in self.columns], dtype="float64").T.reshape(n, -1)
        import pandas as pd
        table = {}
        for name, kind, _ in self.columns:
            values = np.array([math.nan if v is None else v for v in columns[name]], dtype="float64")
            whole = kind in ("long", "integer", "boolean") and not np.isnan(values).any()
            table[name] = values.astype(NUMBERS[kind]) if whole or kind in ("double", "float") else values
        return pd.DataFrame(table)

    def call(self, data, mark, until):
        if not self.lock.acquire(timeout=-1 if until is None else max(0.0, until - time.monotonic())):
            raise Late("its turn did not come in time")
        try:
            self.running = (time.monotonic(), mark)
            return self.inner.predict_proba(data) if self.proba else self.inner.predict(data)
        finally:
            self.running = None
            self.lock.release()

    def answer(self, columns, n, mark, until):
        import numpy as np
        data = self.rows(columns, n)
        said = self.call(data, mark, until)
        if self.classes and not self.proba:
            place = {label: i for i, label in enumerate(self.classes)}
            out = np.zeros((n, len(self.classes)))
            for i, label in enumerate(np.asarray(said).reshape(-1)):
                out[i, place[text_of(label)]] = 1
        else:
            out = np.asarray(said, dtype="float64").reshape(n, -1)
        if len(self.classes) == 2:
            out = out[:, 1:2]
        if out.shape[1] != max(1, len(self.classes) if len(self.classes) > 2 else 1):
            raise Refused(f"the model answers with {out.shape[1]} values a row")
        return out


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def address_string(self):
        return "gyre"

    def send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/v2/health/ready":
            return self.send(200, {"ready": True})
        return self.send(404, {"error": "Not Found"})

    def until(self):
        said = self.headers.get("Gyre-Timeout", "")
        return time.monotonic() + int(said[:-2]) / 1000 if said[:-2].isdecimal() and said.endswith("ms") else None

    def do_POST(self):
        until = self.until()
        size = int(self.headers.get("Content-Length", 0))
        if size > MAX_BODY:
            self.close_connection = True
            return self.send(413, {"error": "the request is too long"})
        body = self.rfile.read(size)
        mark = hashlib.sha256(body).hexdigest()[:32]
        if mark in self.server.refused:
            return self.send(400, {"error": "these rows took so long before that the model's process was ended: they are not asked again"})
        try:
            tensors = json.loads(body)["inputs"]
            n = tensors[0]["shape"][0]
            out = self.server.model.answer({t["name"]: t["data"] for t in tensors}, n, mark, until)
        except Late as e:
            return self.send(504, {"error": str(e)})
        except Exception as e:  # whatever the model raises is the answer to this request alone
            ours = isinstance(e, (Refused, MemoryError, OSError))
            return self.send(500 if ours else 400, {"error": f"{type(e).__name__}: {str(e)[:300]}"})
        data = [v if math.isfinite(v) else None for v in out.reshape(-1).tolist()]
        return self.send(200, {"model_name": "model", "outputs": [
            {"name": "answer", "datatype": "FP64", "shape": list(out.shape), "data": data}]})


class Server(socketserver.ThreadingMixIn, socketserver.BaseServer):
    daemon_threads = True

    def __init__(self, listening, model):
        super().__init__(("gyre", 0), Handler)
        self.socket, self.model = listening, model
        self.refused = set(os.environ.get("GYRE_REFUSED", "").split(","))

    def fileno(self):
        return self.socket.fileno()

    def get_request(self):
        return self.socket.accept()[0], ("gyre", 0)

    def shutdown_request(self, request):
        try:
            request.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        request.close()

    def handle_error(self, request, client_address):
        pass  # a peer that has left


def watch(model, bound_s):
    """One slow call holds up all others, so it must not last; how long a request waited for its turn does not count."""
    while True:
        time.sleep(bound_s / 20)
        running = model.running
        if running and time.monotonic() - running[0] > bound_s:
            try:
                say("slow " + running[1])
            finally:
                os._exit(4)


def main(what, folder):
    try:
        model = Model(folder)
    except Refused as e:
        print(json.dumps({"error": str(e)}))
        return 3
    except Exception as e:
        print(json.dumps({"error": f"{type(e).__name__}: {str(e)[:400]}"}))
        return 3
    if what == "describe":
        print(json.dumps(model.describe()))
        return 0
    listening = socket.socket(fileno=os.dup(0))
    server = Server(listening, model)
    threading.Thread(target=watch, args=(model, int(os.environ["GYRE_BOUND_MS"]) / 1000), daemon=True).start()
    say("ready")
    server.serve_forever(poll_interval=3600)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main(sys.argv[1], sys.argv[2]))

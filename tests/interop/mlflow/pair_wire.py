# SPDX-License-Identifier: Apache-2.0
"""Raw requests of which every answer is written down, so that two servers can be compared answer by answer.

What must differ between two servers is taken out first: ids become <run 1>, <experiment 2> ... in the order in which they
came up, times become <time>, names that the server drew become <drawn>. What is left is compared as it is: status, every
key, every value, every word of a message (unless a step says that a part of the message is enough).
"""

import json
import re
import time

import requests

HEX = re.compile(r"\b(m-)?[0-9a-f]{32}\b")
# A number is an experiment's only where a text says so.
EXPERIMENT = re.compile(r"(experiment(?:_ids?|Ids?)['\"]?[:=] ?\[?['\"]?|mlflow-artifacts:/|[Ee]xperiment (?:with id[ =]|ID '?)?)([0-9]+)(?![.0-9])")
DRAWN = re.compile(r"^[a-z]+-[a-z]+-[0-9]{1,3}$")
TIMES = {"creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp", "creation_timestamp_ms",
         "last_updated_timestamp_ms", "start_time", "end_time", "last_updated_time"}
# The order of these lists is nobody's promise.
SETS = {"tags": "key", "params": "key", "metrics": "key", "aliases": None, "model_outputs": "model_id",
        "model_inputs": "model_id", "latest_versions": "version", "dataset_summaries": "name"}
BASE = "/api/2.0/mlflow"


class Answer:
    """What came back, as it was; text and JSON."""

    def __init__(self, reply):
        self.status = reply.status_code
        self.text = reply.text
        self.headers = reply.headers
        try:
            self.json = json.loads(reply.text)
        except ValueError:
            self.json = None

    def __getitem__(self, key):
        assert self.status == 200, f"{self.status}: {self.text[:500]}"
        return self.json[key]


class Wire:
    """One server and what was asked of it so far. `suffix` makes names that no other test uses."""

    def __init__(self, url, suffix):
        self.url = url
        self.suffix = suffix
        self.steps = []  # (what was asked, what was answered, part, status)
        self.labels = {}  # real id -> label
        self.session = requests.Session()

    # ---- asking ----

    def ask(self, method, path, body=None, *, params=None, data=None, headers=None, part=None, instead=None, record=True,
            base=BASE):
        """`data` is sent as it is, `body` as JSON. `part`: of an error's message only this is compared ("": its words are
        free). `instead` = (status, why): here the two are to differ, Gyre answers with that status; why is for people."""
        sent = dict(headers or {})
        if data is None and body is not None:
            data = json.dumps(body)
        if data is not None and "Content-Type" not in sent:
            sent["Content-Type"] = "application/json"
        sent = {k: v for k, v in sent.items() if v is not None}
        reply = self.session.request(method, self.url + base + path, params=params, timeout=60, headers=sent,
                                     data=data.encode() if isinstance(data, str) else data)
        answer = Answer(reply)
        if record:
            self.steps.append((self.plain(f"{method} {base}{path} {params or ''} {data if data is not None else ''}"),
                               answer, part, instead[0] if instead else None))
        return answer

    def get(self, path, params=None, **more):
        return self.ask("GET", path, params=params, **more)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, {} if body is None else body, **more)

    def patch(self, path, body=None, **more):
        return self.ask("PATCH", path, {} if body is None else body, **more)

    def delete(self, path, body=None, **more):
        return self.ask("DELETE", path, {} if body is None else body, **more)

    # ---- what the scenarios begin with ----

    def name(self, text):
        return f"{text}-{self.suffix}"

    def experiment(self, text="e", **more):
        time.sleep(0.003)  # the default order is by milliseconds
        made = self.post("/experiments/create", {"name": self.name(text), **more})["experiment_id"]
        self.labels.setdefault(made, f"<experiment {sum(v.startswith('<exp') for v in self.labels.values()) + 1}>")
        return made

    def run(self, experiment, **more):
        return self.post("/runs/create", {"experiment_id": experiment, "start_time": 1700000000000, **more})["run"]["info"]["run_id"]

    # ---- taking out what must differ ----

    def label(self, found):
        kind = "model" if found.startswith("m-") else "run"
        if found not in self.labels:
            self.labels[found] = f"<{kind} {sum(v.startswith('<' + kind) for v in self.labels.values()) + 1}>"
        return self.labels[found]

    def plain(self, text):
        text = HEX.sub(lambda m: self.label(m.group(0)), text)
        text = EXPERIMENT.sub(lambda m: m.group(1) + self.labels.get(m.group(2), m.group(2)), text)
        return text.replace(self.url, "<server>")

    def tidy(self, value, key=None):
        if isinstance(value, dict):
            return {k: self.tidy(v, k) for k, v in sorted(value.items())}
        if isinstance(value, list):
            items = [self.tidy(v) for v in value]
            if key in SETS:
                by = SETS[key]
                items.sort(key=lambda v: str(v.get(by)) if by and isinstance(v, dict) else json.dumps(v, sort_keys=True))
            return items
        if key in TIMES and isinstance(value, int) and value > 1600000000000 and value != 1700000000000:
            return "<time>"
        if key == "experiment_id" and isinstance(value, str):
            return self.labels.get(value, value)
        if isinstance(value, str) and value.startswith("[{"):  # JSON inside JSON: the tags that clients keep lists in
            return self.tidy([{k: v for k, v in item.items() if v is not None} for item in json.loads(value)])
        if isinstance(value, str):
            return "<drawn>" if DRAWN.match(value) else self.plain(value)
        return value

    def transcript(self):
        """[(asked, answered, the status where the two are to differ)] in comparable form."""
        out = []
        for asked, answer, part, status in self.steps:
            body = self.tidy(answer.json) if answer.json is not None else self.plain(answer.text)
            if answer.status != 200 and isinstance(body, dict):
                body = {k: body.get(k) for k in ("error_code", "message")}
                if part is not None:
                    body["message"] = part if part in (body["message"] or "") else body["message"]
            if answer.status in (404, 405) and (answer.json is None or body.get("error_code") == "ENDPOINT_NOT_FOUND"):
                body = "(no such endpoint)"  # a client takes both for the same
            out.append((asked, {"status": answer.status, "body": body}, status))
        return out


def leaves(ours, theirs, path=""):
    """Lines, one for each place where two values differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [line for key in sorted(ours.keys() | theirs.keys())
                for line in leaves(ours.get(key, "(absent)"), theirs.get(key, "(absent)"), f"{path}/{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [line for i, (a, b) in enumerate(zip(ours, theirs)) for line in leaves(a, b, f"{path}/{i}")]
    if ours == theirs:
        return []
    brief = [json.dumps(v, ensure_ascii=False) for v in (ours, theirs)]
    return [f"   {path}\n      gyre:   {brief[0][:400]}\n      mlflow: {brief[1][:400]}"]


def differences(ours, theirs):
    """Lines that say where two transcripts part; [] when they are one."""
    lines = []
    mine, other = ours.transcript(), theirs.transcript()
    for i, ((asked, a, status), (also, b, _)) in enumerate(zip(mine, other)):
        if asked != also:
            return [*lines, f"{i}: another question: {asked!r}\n   and {also!r}"]
        if status is not None and (a["status"] != status or a == b):
            lines.append(f"{i}: {asked[:300]}\n   to be {status} and other than mlflow's, is {a} and {b}")
        elif status is None and a != b:
            lines.append("\n".join([f"{i}: {asked[:300]}", *leaves(a, b)]))
    if len(mine) != len(other):
        lines.append(f"{len(mine)} steps and {len(other)}")
    return lines

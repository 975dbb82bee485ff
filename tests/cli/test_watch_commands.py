# SPDX-License-Identifier: Apache-2.0
"""gyre watch: a project's sections are applied, status and alerts are told, a named person acknowledges, and the report is one
file that holds everything."""

import html.parser
import re

import serving
import support
import watching

PROJECT = """name: ward
endpoints:
  sepsis: {model: 'models:/sepsis/1'}
watch:
  window: {rows: 500}
  review_max: 10
  drift: {share: 0.5, features: {Temp: {threshold: 0.2}}}
"""


def project(folder, text=PROJECT):
    (folder / "gyre.yaml").write_text(text)


def test_apply_reads_gyre_yaml(gyre, tmp_path):
    project(tmp_path)
    done = gyre("watch", "apply")
    assert done.returncode == 0 and done.stdout == "ward: 1 endpoint watched\n", done.stderr
    got = support.run_json("watch", "status", cwd=tmp_path)
    one, = got["projects"]
    assert one["project"] == "ward" and one["endpoints"] == ["sepsis"] and one["folder"] == str(tmp_path)
    assert one["sections"] == {"watch": {"window": {"rows": 500}, "review_max": 10,
                                         "drift": {"share": 0.5, "features": {"Temp": {"threshold": 0.2}}}}}
    assert one["actor"] not in ("", "anonymous") and got["watcher"]["state"] == "not running"
    project(tmp_path, PROJECT + "triggers:\n  - {name: drift, on: drift.detected, run: [retrain], cooldown: 1h}\n")
    assert gyre("watch", "apply").stdout == "ward: 1 endpoint watched, triggers\n"
    trigger, = support.run_json("trigger", "list", cwd=tmp_path)["triggers"]
    assert trigger["name"] == "drift" and trigger["project"] == "ward"
    project(tmp_path)
    gyre("watch", "apply")
    assert support.run_json("trigger", "list", cwd=tmp_path)["triggers"] == []     # gone from the file, gone here
    project(tmp_path, PROJECT + "triggers: [{name: x, on: {moon: full}}]\n")
    assert "moon" in gyre("watch", "apply").stderr
    project(tmp_path, PROJECT.replace("review_max", "reviews_max"))
    done = gyre("watch", "apply")
    assert done.returncode != 0 and "there is no 'reviews_max'" in done.stderr and "review_max" in done.stderr
    project(tmp_path, "name: ward\n")
    assert "usual settings" in gyre("watch", "apply").stdout
    empty = tmp_path / "empty"
    empty.mkdir()
    assert gyre("watch", "status", "--wait").returncode != 0          # nothing that could be waited for
    assert "nothing is served" in gyre("watch", "status").stdout
    assert gyre("watch", "alerts").stdout == "no alert fires\n"
    assert gyre("watch", "report", "nope").returncode == 4


class Page(html.parser.HTMLParser):
    """What a report holds, and that each element is closed."""
    ALONE = {"meta", "path", "line", "rect", "circle", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.counts = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert not {"src", "href"} & {name for name, _ in attrs}, (tag, attrs)
        assert not any(name.startswith("on") for name, _ in attrs), (tag, attrs)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in self.ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.ALONE:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_status_alerts_and_report(new_server, tmp_path):
    server = new_server(home=tmp_path / ".gyre")
    watching.train_and_deploy(server, tmp_path, project={"review": {"policy": "all"}})
    project(tmp_path)

    def gyre(*args, code=0):
        done = support.run_gyre(*args, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    gyre("watch", "apply")
    watching.label(server, watching.traffic(server, watching.patients(tmp_path, 1000, 70)))
    watching.traffic(server, watching.patients(tmp_path, 550, 71, "--drift", "Temp=+1.5"))
    serving.deploy(server, "models:/sepsis/1", project={"rules": [watching.RULE], "review": {"policy": "none"}}, columns=[])

    status = gyre("watch", "status", "--wait")
    line = next(x for x in status.splitlines() if x.startswith("sepsis"))
    assert re.match(r"sepsis +1 +stable +50/500 +3 +Temp +sensor +0\.\d+ \[", line), status
    assert "alert" in status and "the sensor of Temp is suspected" in status
    assert "watcher: watching" in status

    alerts = {a["kind"]: a for a in support.run_json("watch", "alerts", cwd=tmp_path)["alerts"]}
    assert set(alerts) == {"sensor", "review_queue"}
    assert "--reason" in gyre("watch", "ack", alerts["sensor"]["id"], code=2)
    gyre("watch", "ack", alerts["sensor"]["id"], "--reason", "a <new> thermometer")
    seen = next(a for a in support.run_json("watch", "alerts", cwd=tmp_path)["alerts"] if a["kind"] == "sensor")
    assert seen["acknowledged_by"] not in (None, "anonymous") and seen["acknowledge_reason"] == "a <new> thermometer"

    told = support.run_json("watch", "report", "sepsis", "-o", "r.html", "--wait", cwd=tmp_path)
    text = (tmp_path / "r.html").read_text()
    assert told == {"file": "r.html", "bytes": len(text.encode())}
    assert not re.search(r"https?:|url\(|@import|<script|<img|<link", text)
    page = Page(text)
    words = " ".join(page.texts)
    for said in ("Endpoint sepsis", "Inputs", "Windows", "Performance", "Reviews", "Rollouts", "Alerts", "a <new> thermometer",
                 "the sensor of Temp is suspected", "recall: found, of those who are positive", "sepsis/1"):
        assert said in words, said
    assert page.counts["svg"] == 3 + 1 + 4             # features, windows, metrics
    assert len(text) < 200_000
    assert "nan" not in re.sub(r"<style>.*</style>", "", text).lower().split()


def test_metrics_of_the_loop(new_server, tmp_path):
    server = new_server()
    watching.train_and_deploy(server, tmp_path)
    watching.apply(server, window={"rows": 500})
    watching.traffic(server, watching.patients(tmp_path, 500, 80))
    watching.traffic(server, watching.patients(tmp_path, 500, 81, "--drift", "Temp=+1.5"))
    watching.state(server)
    text = serving.request(server, "GET", "/metrics")[1].decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    of = 'endpoint="sepsis",version="1"'
    assert values[f'gyre_feature_drifted{{{of},feature="Temp"}}'] == "1"
    assert values[f'gyre_feature_drifted{{{of},feature="HR"}}'] == "0"
    assert float(values[f'gyre_drift_score{{{of},feature="Temp",test="wasserstein"}}']) > 0.1
    assert values[f"gyre_dataset_drift{{{of}}}"] == "0" and values[f"gyre_drift_window_rows{{{of}}}"] == "500"
    assert 0 < float(values[f'gyre_rule_hit_rate{{{of},window="reference"}}']) < 1
    assert values['gyre_alerts_firing{endpoint="sepsis",kind="sensor"}'] == "1"
    assert values["gyre_watch_windows_total"] == "2" and values["gyre_watch_lag_seconds"] == "0"
    assert float(values["gyre_watch_last_success_timestamp_seconds"]) > 1e9

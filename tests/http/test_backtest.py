# SPDX-License-Identifier: Apache-2.0
"""gyre replay and gyre backtest beside a running server: what another version would have answered to what was asked."""

import math

import serving
import support

API = serving.API
ROWS = 60


def rows():
    for i in range(ROWS):
        yield {"hr": 60 + i, "resp": 22 if i % 10 == 0 else 15, "temp": 39.0 if i % 5 == 0 else 37.0}


def score(row, intercept):
    return 1 / (1 + math.exp(-(row["hr"] / 10 + intercept)))


def rule_hits(row):
    return (row["temp"] > 38.5) + (row["hr"] > 90) + (row["resp"] > 20) >= 2


def expected():
    """What version 1 answered and version 2 would have, row by row."""
    for row in rows():
        hit = rule_hits(row)
        then, now = int(hit or score(row, -9.0) >= 0.5), int(hit or score(row, -11.0) >= 0.5)
        yield row, hit, then, now


def gyre(server, *args):
    return support.run_json(*args, "--home", server.home, cwd=server.home.parent)


def test_replay_and_backtest(new_server):
    server = new_server()
    serving.serve(server)
    second, _ = serving.register(server, files=serving.package(intercept=-11.0))
    assert second == 2
    ids = []
    for row in rows():
        status, _, headers = serving.request(server, "POST", "/predictions", row)
        assert status == 200
        ids.append(headers["Gyre-Prediction-Id"])
    want = list(expected())
    assert {(t, n) for _, _, t, n in want} == {(0, 0), (1, 0), (1, 1)}

    # One prediction, then and now.
    for i in (0, 10, 30, 45, 59):
        row, hit, then, now = want[i]
        answer = gyre(server, "replay", ids[i], "--model", "2")
        assert (answer["prediction_id"], answer["endpoint"], answer["revision"], answer["version_then"]) == (ids[i], "sepsis", 1, "1")
        one, = answer["rows"]
        assert one["inputs"]["HR"] == row["hr"] and one["rule"] == ("sirs" if hit else None)
        assert (one["then"]["prediction"], one["now"]["prediction"]) == (str(then), str(now))
        assert one["changed"] == (then != now) and answer["changed"] == int(then != now)
        assert math.isclose(one["now"]["score"], score(row, -11.0), rel_tol=1e-9)
        if not hit:
            assert math.isclose(one["score_change"], score(row, -11.0) - score(row, -9.0), rel_tol=1e-9)
    said = support.run_gyre("replay", ids[36], "--model", "sepsis/2", "--home", server.home, cwd=server.home.parent)
    assert "now 0" in said.stdout and "CHANGED" in said.stdout

    # All of them, without labels.
    answer = gyre(server, "backtest", "--since", "1h", "--model", "2", "--slice", "HR > 90")
    for group, picked in zip(answer["groups"], (want, [w for w in want if w[0]["hr"] > 90])):
        assert group["rows"] == len(picked) and group["by_rule"] == sum(w[1] for w in picked)
        assert group["same"] == sum(t == n for _, _, t, n in picked)
        assert group["flips"] == {"up": 0, "down": sum(t > n for _, _, t, n in picked)}
        assert group["labelled"] == 0 and group["then"] is None and group["now"] is None
    assert answer["groups"][1]["slice"] == "HR > 90" and answer["records"] == ROWS and answer["refused"] == 0
    # A version against itself changes nothing.
    itself = gyre(server, "backtest", "--model", "1", "--endpoint", "sepsis")["groups"][0]
    assert itself["same"] == ROWS and itself["score_change"] == 0

    # With labels for every second one: the patients above 85 beats are ill. By either id, and one of them twice.
    truths = {}
    for i in range(0, ROWS, 2):
        truths[i] = int(want[i][0]["hr"] > 85)
        serving.must(server, "POST", f"{API}/feedback", {"prediction_id": ids[i], "label": str(truths[i])}, status=(200, 202))
    serving.must(server, "POST", f"{API}/feedback", {"prediction_id": ids[4], "label": "0", "source": "simulated"}, status=(200, 202))
    group = gyre(server, "backtest", "--model", "2")["groups"][0]
    assert group["labelled"] == len(truths)
    for when, pick in (("then", 2), ("now", 3)):
        answers = {i: want[i][pick] for i in truths}
        counts = {"tp": sum(answers[i] and truths[i] for i in truths), "fp": sum(answers[i] and not truths[i] for i in truths),
                  "fn": sum(not answers[i] and truths[i] for i in truths), "tn": sum(not answers[i] and not truths[i] for i in truths)}
        assert {k: group[when][k] for k in counts} == counts
        recall = group[when]["recall"]
        assert math.isclose(recall["value"], counts["tp"] / (counts["tp"] + counts["fn"])) and recall["low"] < recall["value"] <= recall["high"]
    text = support.run_gyre("backtest", "--model", "2", "--home", server.home, cwd=server.home.parent).stdout
    assert f"labels of {len(truths)} rows are known" in text and "then: accuracy" in text and "now : accuracy" in text

    # The same without a server.
    before = gyre(server, "backtest", "--model", "2")
    server.stop()
    after = gyre(server, "backtest", "--model", "2")
    assert after["groups"] == before["groups"]
    again = gyre(server, "replay", ids[36], "--model", "2")
    assert again["changed"] == 1


def test_refusals(new_server):
    server = new_server()
    serving.serve(server)
    other = serving.package()
    other["model.json"] = other["model.json"].replace('"Temp"', '"Lactate"')
    serving.register(server, files=other)
    status, _, headers = serving.request(server, "POST", "/predictions", {"hr": 80, "resp": 15, "temp": 37})
    assert status == 200

    def fails(*args):
        done = support.run_gyre(*args, "--home", server.home, cwd=server.home.parent)
        assert done.returncode != 0
        return done.stderr

    assert "--model" in fails("backtest")
    assert "Lactate" in fails("replay", headers["Gyre-Prediction-Id"], "--model", "2")
    assert "no prediction" in fails("replay", "01932f4e-7c1a-7000-8000-0123456789ab", "--model", "1")
    assert "Lactate" in fails("backtest", "--model", "1", "--slice", "Lactate > 2")
    assert "soon" in fails("backtest", "--model", "1", "--since", "soon")
    answer = gyre(server, "backtest", "--model", "2")
    assert answer["groups"][0]["rows"] == 0 and answer["other"] == 1 and "Lactate" in answer["why_other"]
    done = support.run_gyre("backtest", "--model", "1", "--server", server.url, cwd=server.home.parent)
    assert done.returncode == 2 and "--home" in done.stderr

# SPDX-License-Identifier: Apache-2.0
"""gyre watch drift: the log of an endpoint against its model's training data, and tables against each other."""

import csv
import math
import time

import pytest

import serving
import support

RULE = {"name": "sirs", "at_least": 2, "of": ["Temp > 38.3 or Temp < 36.0", "HR > 90", "Resp > 20"],
        "then": {"prediction": 1, "skip_model": True, "reason": "2 of 3"}}
VITALS = ["HR", "Resp", "Temp"]


def patients(cwd, name, *args):
    support.run_json("data", "synth", "patients", "-o", name, *args, cwd=cwd)
    with open(cwd / name, newline="") as table:
        return [[float(row[c]) for c in VITALS] for row in csv.DictReader(table)]


def drift(cwd, *args, code=0):
    """The answer of --json, and what people see of the same."""
    answer = support.run_gyre("watch", "drift", *args, "--json", cwd=cwd)
    assert answer.returncode == code, answer.stderr + answer.stdout
    told = support.run_gyre("watch", "drift", *args, cwd=cwd)
    assert told.returncode == code, told.stderr
    return support.json.loads(answer.stdout), told.stdout


def by_name(answer):
    return {f["name"]: f for f in answer["drift"]["features"]}


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A trained and registered model of made adults."""
    cwd = tmp_path_factory.mktemp("ward")
    patients(cwd, "adults.csv", "--rows", 20000, "--seed", 1)
    (cwd / "params.yaml").write_text("seed: 7\nholdout: 0.3333\n")
    support.run_json("train", "adults.csv", "--target", "isSepsis", "--learner", "logistic", "--features",
                     ",".join(VITALS), "--params", "params.yaml", "--register", "sepsis", "--out", "package", "--home",
                     "home", cwd=cwd)
    return cwd


@pytest.fixture
def served(ward):
    server = support.Server(ward / "home").start()
    yield server
    server.stop()
    server.clean()


def ask(ward, server, rows, total, endpoint="sepsis", batch=100):
    """Ask, and wait until all `total` rows of the endpoint are in the segments of the log: the flusher is a thread."""
    for at in range(0, len(rows), batch):
        serving.must(server, "POST", f"/v2/models/{endpoint}/infer", serving.v2(rows[at:at + batch]))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        seen = support.run_gyre("watch", "drift", endpoint, "--since", "2020-01-01T00:00:00Z", "--json", "--home", "home",
                                cwd=ward)
        if seen.returncode == 4 and "profile" in seen.stderr:
            return
        if seen.returncode == 0 and support.json.loads(seen.stdout)["drift"]["rows"] == total:
            return
        time.sleep(0.01)
    raise AssertionError(f"the log has not {total} rows: {seen.stdout[:200]} {seen.stderr}")


# ---- the log ----

def test_the_log_of_an_endpoint(ward, served):
    serving.deploy(served, "models:/sepsis/1", project={"rules": [RULE]}, columns=())
    missing = support.run_gyre("watch", "drift", "sepsis", "--home", "home", cwd=ward)
    assert missing.returncode == 4 and "no row" in missing.stderr, missing.stderr
    ask(ward, served, patients(ward, "today.csv", "--rows", 1500, "--seed", 2), 1500)
    answer, told = drift(ward, "sepsis", "--home", "home")
    assert answer["endpoint"] == "sepsis" and answer["version"] == "1" and answer["reference"] == "models:/sepsis/1"
    assert answer["drift"]["rows"] == 1000 and answer["drift"]["reference_rows"] > 10000
    assert not answer["drift"]["detected"] and answer["diagnosis"]["cause"] == "none"
    assert set(by_name(answer)) == set(VITALS)
    assert "dataset drift no" in told and "cause: none" in told
    rates = answer["drift"]["rule_hit_rate"]
    assert rates["current"]["rows"] == 1000 and rates["reference"]["rows"] == 500 and not rates["moved"]
    # a thermometer that is one degree off: named, and no cure by training
    ask(ward, served, patients(ward, "warm.csv", "--rows", 1000, "--seed", 3, "--drift", "Temp=+1.0"), 2500)
    answer, told = drift(ward, "sepsis", "--home", "home", "--fail-on-drift", code=1)
    temp = by_name(answer)["Temp"]
    assert temp["drifted"] and temp["test"] == "wasserstein" and temp["score"] > 0.5
    assert not by_name(answer)["HR"]["drifted"]
    assert answer["diagnosis"]["cause"] == "sensor" and answer["diagnosis"]["features"] == ["Temp"]
    assert abs(answer["diagnosis"]["faults"][0]["offset"] - 1) < 0.1 and not answer["diagnosis"]["may_retrain"]
    assert answer["drift"]["rule_hit_rate"]["moved"]
    assert "Temp is 1.0" in told and "retraining: no" in told and "█" in told
    # the whole log since ever: 2500 rows, the fault is in 40 % of them
    answer, _ = drift(ward, "sepsis", "--home", "home", "--since", "2020-01-01T00:00:00Z")
    assert answer["drift"]["rows"] == 2500
    # another population: no sensor, but without labels no training either
    ask(ward, served, patients(ward, "ward.csv", "--rows", 1000, "--seed", 4, "--population", "elderly"), 3500)
    answer, told = drift(ward, "sepsis", "--home", "home", "--window", "1000")
    assert answer["drift"]["dataset_drift"] and answer["diagnosis"]["cause"] == "population"
    assert answer["diagnosis"]["retrain_reason"] == "not enough labels: 0 of 200"
    score = answer["drift"]["score"]
    assert score["test"] == "wasserstein" and 0 < score["mean"]["current"] < 1


def test_without_the_server_it_reads_the_same_log(ward, served):
    serving.deploy(served, "models:/sepsis/1", name="alone", project={"rules": [RULE]}, columns=())
    ask(ward, served, patients(ward, "few.csv", "--rows", 150, "--seed", 10), 150, endpoint="alone", batch=50)
    with_server, _ = drift(ward, "alone", "--home", "home", "--window", "120")
    served.stop()
    without, _ = drift(ward, "alone", "--home", "home", "--window", "120")
    assert without == with_server and without["drift"]["rows"] == 120
    served.start()


def test_refusals(ward, served):
    serving.deploy(served, "models:/sepsis/1", name="refusing", project={}, columns=())
    for args, code, says in [
            ([], 2, "which endpoint"), (["refusing", "--current", "a.csv"], 2, "belong together"),
            (["refusing", "--window", "0"], 2, "--window"), (["refusing", "--since", "yesterday"], 3, "yesterday"),
            (["refusing", "--columns", "HR"], 2, "--columns"), (["nowhere"], 4, "nowhere"),
            (["refusing", "--version", "9"], 4, "version 9"), (["refusing", "--share", "0"], 2, "--share"),
            (["refusing", "--server", served.url], 2, "home folder"),
            (["--current", "adults.csv", "--reference", "nix.csv"], 4, "nix.csv"),
            (["--current", "adults.csv", "--reference", "adults.csv", "--columns", "HR,Pulse"], 4, "Pulse")]:
        done = support.run_gyre("watch", "drift", *args, "--home", "home", cwd=ward)
        assert done.returncode == code, (args, done.returncode)
        assert says in done.stderr, (args, done.stderr)


def test_a_package_without_a_profile_is_told(ward, served):
    version, _ = serving.register(served, name="foreign")
    serving.deploy(served, f"models:/foreign/{version}", name="foreign", project={}, columns=())
    ask(ward, served, [[80, 15, 37]], 1, endpoint="foreign")
    done = support.run_gyre("watch", "drift", "foreign", "--home", "home", cwd=ward)
    assert done.returncode == 4 and "training data" in done.stderr, (done.returncode, done.stderr)


# ---- tables ----

def test_a_table_against_a_model(ward):
    patients(ward, "same.csv", "--rows", 2000, "--seed", 8)
    answer, _ = drift(ward, "--current", "same.csv", "--reference", "package", "--home", "home")
    assert not answer["drift"]["detected"] and set(VITALS) < set(by_name(answer))
    assert not by_name(answer)["SBP"]["input"] and by_name(answer)["HR"]["input"]
    by_version, _ = drift(ward, "--current", "same.csv", "--reference", "models:/sepsis/1", "--home", "home")
    assert by_version["drift"] == answer["drift"]
    patients(ward, "warm.csv", "--rows", 2000, "--seed", 8, "--drift", "HR=*1.3")
    answer, told = drift(ward, "--current", "warm.csv", "--reference", "package", "--columns", "HR,Temp", "--home", "home")
    assert [f["name"] for f in answer["drift"]["features"]] == ["HR", "Temp"]
    assert answer["diagnosis"]["faults"][0]["kind"] == "factor" and "1.3" in told


def test_text_columns_are_categories(tmp_path):
    def write(name, colours, n):
        with open(tmp_path / name, "w") as out:
            out.write("colour,note,x\n")
            for i in range(n):
                out.write(f"{colours[i % len(colours)]},{name}-{i},{i % 7}\n")

    write("then.csv", ["red", "green", "blue", "blue"], 2000)
    write("now.csv", ["red", "green", "blue", "blue", "white"], 1000)
    answer, told = drift(tmp_path, "--current", "now.csv", "--reference", "then.csv")
    colour = by_name(answer)["colour"]
    assert colour["categorical"] and colour["test"] == "jensenshannon" and colour["drifted"]
    # shares .25 .25 .5 0 against .2 .2 .4 .2
    expected = 0
    for p, q in [(.25, .2), (.25, .2), (.5, .4), (0, .2)]:
        m = (p + q) / 2
        expected += (p * math.log(p / m) if p else 0) / 2 + q * math.log(q / m) / 2
    assert abs(colour["score"] - math.sqrt(expected)) < 1e-12
    assert answer["text_columns"] == ["note"] and "free text" in told


def test_april_has_not_drifted_as_a_whole(data_dir, tmp_path):
    """The golden values of reference system 003: January to March against April 2011."""
    lines = []
    for month in ("01", "02", "03"):
        text = (data_dir / f"bikes_2011_{month}.csv").read_text().splitlines()
        lines += text if not lines else text[1:]
    (tmp_path / "quarter.csv").write_text("\n".join(lines) + "\n")
    nine = ["temp", "atemp", "humidity", "windspeed", "hour", "weekday", "holiday", "workingday", "weathersit"]
    files = ["--current", data_dir / "bikes_2011_04.csv", "--reference", "quarter.csv"]
    answer, told = drift(tmp_path, *files, "--columns", ",".join(nine), "--categorical", "holiday,workingday,weathersit")
    got = by_name(answer)
    for name, value in {"temp": 1.7849, "atemp": 1.7225, "humidity": .4691, "windspeed": .1985, "hour": .0374,
                        "weekday": .0898}.items():
        assert got[name]["test"] == "wasserstein" and abs(got[name]["score"] - value) < 6e-5, got[name]
    base_2 = 1 / math.sqrt(math.log(2))  # the golden values have logarithms of base 2
    for name, value in {"holiday": .026, "workingday": .013, "weathersit": .042}.items():
        assert got[name]["test"] == "jensenshannon" and abs(got[name]["score"] * base_2 - value) < 6e-4, got[name]
    assert answer["drift"]["reference_rows"] == 2067 and answer["drift"]["columns_drifted"] == 4
    assert abs(answer["drift"]["share"] - 4 / 9) < 1e-12 and not answer["drift"]["dataset_drift"]
    assert "4 of 9 columns drifted (44 %): dataset drift no" in told
    answer, _ = drift(tmp_path, *files, "--columns", "count,season")
    assert abs(by_name(answer)["count"]["score"] - .8890) < 6e-5 and by_name(answer)["count"]["drifted"]
    assert abs(by_name(answer)["season"]["score"] * base_2 - .846) < 6e-4

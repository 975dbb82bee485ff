# SPDX-License-Identifier: Apache-2.0
"""--model-memory: more models than fit, each asked all the same; what is unloaded, what is refused, what clients see."""

import collections
import random
import shutil
import threading

import boosters
import pytest
import serving
import support
from serving import API, Connection, must, outputs, request, v2

pytestmark = pytest.mark.tsan

MODELS, FIT = 60, 10
SMALL, SMALL_FIT = 8, 3
PLAIN = {"project": {}, "columns": ()}


def gauges(server):
    """The metrics of loaded models, by what follows gyre_ in their names."""
    said = {}
    for line in request(server, "GET", "/metrics")[1].decode().splitlines():
        name, _, value = line.partition(" ")
        if name.startswith(("gyre_model_", "gyre_models_")) and "{" not in name:
            said[name.removeprefix("gyre_")] = float(value)
    return said


def random_row(rng):
    return [rng.randrange(-10, 11) / 2 for _ in range(4)]


def infer(server, name, row):
    status, answer, _ = request(server, "POST", f"/v2/models/{name}/infer", v2([row]))
    assert status == 200, answer
    return outputs(answer)["prediction"][0]


class Asking(threading.Thread):
    """Random models on one connection, until it was told to end and has asked often enough; wrong: what was not right."""

    def __init__(self, server, models, seed, least):
        super().__init__()
        self.server, self.models, self.rng, self.least = server, models, random.Random(seed), least
        self.done, self.wrong, self.asked = threading.Event(), [], 0

    def ask(self, connection):
        name = self.rng.choice(list(self.models))
        rows = [random_row(self.rng) for _ in range(self.rng.choice((1, 1, 1, 3)))]
        expected = [self.models[name].answer(row) for row in rows]
        if self.rng.random() < 0.5:
            status, answer = connection.ask(v2(rows), f"/v2/models/{name}/infer")
            got = outputs(answer)["prediction"] if status == 200 else answer
        else:
            status, answer = connection.ask({"instances": rows}, f"/v1/models/{name}:predict")
            got = answer["predictions"] if status == 200 else answer
        if got != expected:
            self.wrong.append((name, rows, expected, status, got))

    def run(self):
        connection = Connection(self.server)
        try:
            while not self.wrong and (self.asked < self.least or not self.done.is_set()):
                self.ask(connection)
                self.asked += 1
        except Exception as e:  # whatever it was, the test shows it
            self.wrong.append(repr(e))
        connection.close()


@pytest.fixture(scope="module")
def models():
    return {f"m{i}": boosters.Booster(i) for i in range(MODELS)}


def write(folder, files):
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def serve_folders(root, models, args=()):
    """`gyre serve` of all of them."""
    for name, model in models.items():
        write(root / name, model.package())
    return support.Server(root / "home", [*args, *(root / name for name in models)], verb=("serve",)).start()


@pytest.fixture(scope="module")
def loaded_bytes(models, tmp_path_factory):
    """What one of them takes; all are of the same size. Without a budget all stay."""
    server = serve_folders(tmp_path_factory.mktemp("three"), dict(list(models.items())[:3]))
    now = gauges(server)
    server.stop()
    assert (now["models_loaded"], now["model_loads_total"], now["model_memory_bytes"], now["model_unloads_total"]) == (3, 3, 0, 0)
    return int(now["model_bytes"]) // 3


@pytest.fixture(scope="module")
def crowded(models, loaded_bytes, tmp_path_factory):
    """Sixty models are served, ten fit."""
    server = serve_folders(tmp_path_factory.mktemp("crowded"), models, ["--model-memory", FIT * loaded_bytes])
    yield server
    server.stop()
    server.clean()


@pytest.fixture(scope="module")
def small(models, loaded_bytes, tmp_path_factory):
    """A server with eight endpoints; three fit."""
    server = support.Server(tmp_path_factory.mktemp("small") / "home", ["--model-memory", SMALL_FIT * loaded_bytes]).start()
    for name in list(models)[:SMALL]:
        version, _ = serving.register(server, name=name, files=models[name].package())
        serving.deploy(server, f"models:/{name}/{version}", name=name, **PLAIN)
    yield server
    server.stop()
    server.clean()


def test_all_answer_within_the_budget(crowded, models, loaded_bytes):
    asking = [Asking(crowded, models, seed, 150) for seed in range(6)]
    for one in asking:
        one.start()
    most = 0
    for _ in range(30):
        now = gauges(crowded)
        most = max(most, now["model_bytes"])
        assert now["models_loaded"] * loaded_bytes == now["model_bytes"], now
    for one in asking:
        one.done.set()
    for one in asking:
        one.join()
    assert [w for one in asking for w in one.wrong] == []
    after = gauges(crowded)
    assert max(most, after["model_bytes"]) <= FIT * loaded_bytes == after["model_memory_bytes"]
    assert after["models_served"] == MODELS and after["models_loaded"] == FIT
    assert after["model_loads_total"] - after["model_unloads_total"] == FIT
    assert after["model_loads_total"] > MODELS + sum(one.asked for one in asking) / 4 and after["model_load_failures_total"] == 0


def test_what_is_unloaded_is_ready_all_the_same(small, models):
    names = list(models)[:SMALL]
    assert {one["name"]: one["state"] for one in must(small, "POST", "/v2/repository/index", {})} == dict.fromkeys(names, "READY")
    for name in names:
        assert request(small, "GET", f"/v2/models/{name}/ready")[0] == 200
        assert must(small, "GET", f"/v2/models/{name}")["platform"] == "gyre_xgboost"
        assert must(small, "GET", f"/v1/models/{name}")["ready"]
    now = gauges(small)
    assert (now["models_loaded"], now["model_loads_total"]) == (SMALL_FIT, SMALL)  # nobody loads to tell


def test_who_was_asked_last_stays(crowded, models):
    rng = random.Random(1)
    for i in range(FIT):
        infer(crowded, f"m{i}", random_row(rng))
    before = gauges(crowded)["model_loads_total"]
    for i in range(FIT):
        infer(crowded, f"m{i}", random_row(rng))
    assert gauges(crowded)["model_loads_total"] == before
    infer(crowded, f"m{FIT}", random_row(rng))  # m0 goes for it
    for i in range(1, FIT):
        infer(crowded, f"m{i}", random_row(rng))
    assert gauges(crowded)["model_loads_total"] == before + 1
    infer(crowded, "m0", random_row(rng))
    assert gauges(crowded)["model_loads_total"] == before + 2


def test_explanations_of_what_is_unloaded(crowded, models):
    for name, model in list(models.items())[20:40]:
        row = random_row(random.Random(name))
        answer = outputs(must(crowded, "POST", f"/v2/models/{name}/explain", v2([row])))
        assert answer["prediction"] == [model.answer(row)]
        assert abs(sum(answer[f"f{i}"][0] for i in range(4)) + answer["base_value"][0] - model.answer(row)) < 1e-3
    assert gauges(crowded)["model_bytes"] <= gauges(crowded)["model_memory_bytes"]


def test_unloading_by_name_is_for_good(small, models):
    must(small, "POST", "/v2/repository/models/m5/unload", {})
    assert request(small, "POST", "/v2/models/m5/infer", v2([[0, 0, 0, 0]]))[0] == 404
    assert gauges(small)["models_served"] == SMALL - 1
    must(small, "POST", "/v2/repository/models/m5/load", {})
    row = random_row(random.Random(5))
    assert infer(small, "m5", row) == models["m5"].answer(row)
    assert gauges(small)["models_served"] == SMALL


def test_a_model_larger_than_the_budget(small, models):
    version, _ = serving.register(small, name="big", files=boosters.Booster(1000, trees=80).package())
    status, answer = serving.ask_anyhow(small, "POST", f"{API}/endpoints/big/deploy", {"model": f"models:/big/{version}", **PLAIN})
    assert status == 409 and "--model-memory" in answer["detail"], answer
    row = random_row(random.Random(2))
    assert infer(small, "m3", row) == models["m3"].answer(row)


def test_a_rollout_while_models_come_and_go(small, models):
    """Canary and shadow are unloaded too; who answers does not depend on what is loaded."""
    by_version = {"1": models["m7"], "2": boosters.Booster(2000), "3": boosters.Booster(3000)}
    for version in ("2", "3"):
        assert serving.register(small, name="m7", files=by_version[version].package())[0] == int(version)
    base = f"{API}/endpoints/m7"
    must(small, "POST", f"{base}/deploy", {"model": "models:/m7/2", "canary": 0.3, **PLAIN})
    must(small, "POST", f"{base}/shadow", {"model": "models:/m7/3"})
    asking = [Asking(small, {name: models[name] for name in list(models)[:7]}, seed, 50) for seed in range(3)]
    for one in asking:
        one.start()
    rng, by = random.Random(3), collections.Counter()
    for _ in range(300):
        row = random_row(rng)
        status, answer, _ = request(small, "POST", "/v2/models/m7/infer", v2([row]))
        assert status == 200, answer
        by[answer["model_version"]] += 1
        assert outputs(answer)["prediction"] == [by_version[answer["model_version"]].answer(row)]
    assert set(by) == {"1", "2"} and 45 <= by["2"] <= 135, by  # 90 expected; that far off once in a million times
    must(small, "POST", f"{base}/promote", {})
    row = random_row(rng)
    status, answer, _ = request(small, "POST", "/v2/models/m7/infer", v2([row]))
    assert (status, answer["model_version"], outputs(answer)["prediction"]) == (200, "2", [by_version["2"].answer(row)])
    for one in asking:
        one.done.set()
    for one in asking:
        one.join()
    assert [w for one in asking for w in one.wrong] == []
    text = request(small, "GET", "/metrics")[1].decode()
    assert 'gyre_shadow_failed_total{endpoint="m7",version="3"} 0' in text
    assert 'gyre_shadow_rows_total{endpoint="m7",version="3"} 301' in text
    now = gauges(small)
    assert now["model_bytes"] <= now["model_memory_bytes"] and now["model_load_failures_total"] == 0


def test_a_package_that_is_gone(small, models):
    """Somebody empties the cache under a running server: what is loaded answers, what is not says why; a start mends it."""
    rng = random.Random(4)
    row = random_row(rng)
    names = list(models)[:SMALL - 1]
    for name in ("m0", "m1", "m2"):
        infer(small, name, row)
    shutil.rmtree(small.home / "cache" / "models")
    for name in ("m0", "m1", "m2"):
        assert infer(small, name, row) == models[name].answer(row)
    for _ in range(2):
        status, answer, _ = request(small, "POST", "/v2/models/m4/infer", v2([row]))
        assert status == 503 and "can not be loaded again" in answer["error"], answer
    assert gauges(small)["model_load_failures_total"] == 2
    small.stop()
    small.start()
    for name in names:
        assert infer(small, name, row) == models[name].answer(row)


@pytest.mark.parametrize("size", ["much", "12Q", "-5", "10", "1.5G", ""])
def test_sizes_that_are_none(gyre, size):
    done = gyre("server", "--port", "0", "--model-memory", size)
    assert done.returncode == 2 and "--model-memory takes bytes" in done.stderr

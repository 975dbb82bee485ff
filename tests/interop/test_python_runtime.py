# SPDX-License-Identifier: Apache-2.0
"""A scikit-learn pickle that mlflow logged, served by a worker process: answers as Python gives them, and what becomes of
requests when the worker is killed under load."""

import glob
import json
import os
import pathlib
import signal
import sys
import threading
import time

import pytest
import serving
import support
from serving import request, v2

mlflow = pytest.importorskip("mlflow")
sklearn = pytest.importorskip("sklearn")
PATIENCE_S = 600  # a loaded machine imports mlflow slowly; a bound on failure, never a measure
pytestmark = pytest.mark.timeout(2 * PATIENCE_S)


def save(folder):
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression
    rng = np.random.default_rng(7)
    x = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"])
    forest = RandomForestClassifier(15, random_state=0).fit(x, np.where(x.a + x.b > 0, "ill", "well"))
    line = LinearRegression().fit(x, 3 * x.a - x.b)
    for name, model in (("forest", forest), ("line", line)):
        mlflow.sklearn.save_model(model, str(folder / name), serialization_format="cloudpickle",
                                  signature=mlflow.models.infer_signature(x, model.predict(x)),
                                  pip_requirements=["mlflow", "scikit-learn"])
    return x, forest, line


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return folder, *save(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = support.Server(tmp_path_factory.mktemp("python") / "home", args=("--python-runtime", "auto"))
    one.start()
    yield one
    one.stop()


def gyre(server, *args, code=0):
    done = support.run_gyre(*args, "--home", server.home, "--json", cwd=server.home.parent, timeout=PATIENCE_S,
                            env={"GYRE_PYTHON_RUNTIME": str(server.home / "python")})
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def serve(server, models, name):
    version, _ = serving.register(server, name, files_of(models[0] / name), servable=False)
    made = gyre(server, "models", "env", f"{name}/{version}", "--python", sys.executable)
    proof = gyre(server, "models", "prove", f"{name}/{version}")
    assert proof["servable"], proof
    serving.deploy(server, f"models:/{name}/{version}", name, {"runtime": {"timeout_ms": 60000}}, columns=())
    end = time.monotonic() + PATIENCE_S
    while request(server, "GET", f"/v2/models/{name}/ready")[0] != 200 and time.monotonic() < end:
        time.sleep(0.2)
    return made


def worker_pids(server):
    """Children of the server that run Python."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            stat = pathlib.Path(path).read_text()
        except OSError:
            continue
        name, rest = stat.rsplit(")", 1)
        if int(rest.split()[1]) == server.pid and "python" in name:
            found.append(int(stat.split()[0]))
    return found


def test_answers_are_pythons(server, models):
    _, x, forest, line = models
    assert serve(server, models, "forest")["task"] == "binary"
    assert serve(server, models, "line")["task"] == "regression"
    rows = x.values[:200]
    status, answer, _ = request(server, "POST", "/v2/models/forest/infer", v2(rows.tolist()), timeout=PATIENCE_S)
    assert status == 200, answer
    got = serving.outputs(answer)
    want = forest.predict_proba(x[:200])
    assert got["probability"] == want[:, 1].tolist()
    assert got["prediction"] == [forest.classes_[int(p >= 0.5)] for p in want[:, 1]]
    status, answer, _ = request(server, "POST", "/v2/models/line/infer", v2(rows.tolist()), timeout=PATIENCE_S)
    # a BLAS of other threads adds in another order
    assert status == 200 and serving.outputs(answer)["prediction"] == pytest.approx(line.predict(x[:200]).tolist(), rel=1e-12)


def test_the_worker_is_walled_in(server, models):
    pids = worker_pids(server)
    assert len(pids) == 2  # one a loaded version
    for pid in pids:
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert "Max open files            256 " in limits and "Max file size             0 " in limits
        assert "NoNewPrivs:\t1" in pathlib.Path(f"/proc/{pid}/status").read_text()
        if os.readlink("/proc/self/ns/net") == os.readlink(f"/proc/{pid}/ns/net"):
            pytest.skip("no network namespaces here")


def test_killed_under_load(server, models):
    _, x, forest, _ = models
    want = forest.predict_proba(x)[:, 1].tolist()
    stop, wrong, statuses = threading.Event(), [], []

    def ask(number):
        i = number
        while not stop.is_set():
            rows = [i % 300, (7 * i) % 300]
            status, answer, _ = request(server, "POST", "/v2/models/forest/infer", v2(x.values[rows].tolist()),
                                        timeout=PATIENCE_S)
            statuses.append(status)
            if status == 200 and serving.outputs(answer)["probability"] != [want[r] for r in rows]:
                wrong.append((rows, answer))
            i += 13

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    killed = 0
    for _ in range(2):
        time.sleep(1)
        for pid in worker_pids(server):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        end = time.monotonic() + PATIENCE_S
        while request(server, "GET", "/v2/models/forest/ready")[0] == 200 and time.monotonic() < end:
            time.sleep(0.02)  # a dead worker is no healthy probe
        while request(server, "GET", "/v2/models/forest/ready")[0] != 200 and time.monotonic() < end:
            time.sleep(0.1)
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join()
    assert killed >= 2 and not wrong
    assert statuses.count(200) > 20 and set(statuses) <= {200, 503, 504}
    status, answer, _ = request(server, "POST", "/v2/models/forest/infer", v2(x.values[:5].tolist()), timeout=PATIENCE_S)
    assert status == 200 and serving.outputs(answer)["probability"] == want[:5]


def save_slow(folder):
    """A model that takes as many seconds a call as its first row says."""
    import pandas as pd

    class Slow(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            import time
            time.sleep(float(model_input["seconds"].iloc[0]))
            return model_input["seconds"] + 1

    x = pd.DataFrame({"seconds": [0.0, 0.5]})
    mlflow.pyfunc.save_model(str(folder / "slow"), python_model=Slow(), pip_requirements=["mlflow"],
                             signature=mlflow.models.infer_signature(x, x["seconds"]))


def ended(server, why):
    text = request(server, "GET", "/metrics")[1].decode()
    return int(text.split(f'\ngyre_python_workers_ended_total{{why="{why}"}} ')[1].split("\n")[0])


def wait_until(is_so, what):
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.1)


def test_a_slow_input_takes_no_worker_from_others(tmp_path_factory, models):
    """A worker is ended by its own bound, not by how little others wait; and the same rows do it once."""
    folder = tmp_path_factory.mktemp("slow")
    save_slow(folder)
    one = support.Server(folder / "home", args=("--python-runtime", "auto")).start()
    try:
        serve(one, [folder], "slow")
        serving.deploy(one, "models:/slow/1", "hasty", {"runtime": {"timeout_ms": 150}}, columns=())

        def ask(seconds, name="slow"):
            return request(one, "POST", f"/v2/models/{name}/infer", v2([[seconds]]), timeout=PATIENCE_S)[:2]

        def works():
            return ask(0.0)[0] == 200 and request(one, "GET", "/v2/models/slow/ready")[0] == 200

        (worker,) = worker_pids(one)
        assert [ask(2.5, "hasty")[0] for _ in range(5)] == [504] * 5
        status, answer = ask(0.0)  # behind the one that was begun, not behind the four that nobody waits for
        assert status == 200 and serving.outputs(answer)["prediction"] == [1.0]
        assert worker_pids(one) == [worker] and [ended(one, why) for why in ("died", "slow", "silent")] == [0, 0, 0]
        # A call that takes longer than a worker may.
        assert ask(86400.0)[0] in (503, 504)
        wait_until(lambda: ended(one, "slow") == 1, "the end of the slow worker")
        wait_until(works, "the next worker")
        status, answer = ask(86400.0)
        assert status == 400 and "not asked again" in answer["error"], answer
        assert works() and ended(one, "slow") == 1 and len(worker_pids(one)) == 1
        # One that is alive no more, asked by nobody who waits for long.
        (worker,) = worker_pids(one)
        os.kill(worker, signal.SIGSTOP)
        assert ask(0.0, "hasty")[0] == 504
        wait_until(lambda: ended(one, "silent") == 1, "the end of the silent worker")
    finally:
        one.stop()


def test_not_allowed_says_what_to_do(tmp_path_factory, models):
    other = support.Server(tmp_path_factory.mktemp("closed") / "home").start()
    try:
        version, _ = serving.register(other, "forest", files_of(models[0] / "forest"), servable=False)
        done = support.run_gyre("models", "prove", f"forest/{version}", "--home", other.home, "--json", cwd=other.home.parent)
        answer = json.loads(done.stdout)
        assert not answer["servable"] and "no flavor that is served" in answer["reason"]
    finally:
        other.stop()

# SPDX-License-Identifier: Apache-2.0
"""One suite, two servers: each test runs against a real `mlflow server` and against `gyre server`, both started here, with the
same unmodified client. At the end both columns are printed.

    side      one of the two servers; a test that asks for it runs twice
    servers   both, for a test that compares answers (counted in both columns)

The rule, kept by test_pair_z_rule.py: what passes on MLflow passes on Gyre, and nothing is skipped on one side alone. What MLflow
itself gets wrong is marked `mlflow_fails(reason)`; the suite fails when such a test passes there after all.
"""

import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

# Before the client is imported: it reads these once.
os.environ.update({
    "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0", "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0", "GIT_PYTHON_REFRESH": "quiet", "MPLBACKEND": "agg",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_ASYNC_TRACE_LOGGING_RETRY_TIMEOUT": "1",
})

import support  # noqa: E402

SIDES = ("mlflow", "gyre")
READY_S = 120
OUTCOMES = pytest.StashKey()  # {test: {side: outcome}}


def pytest_configure(config):
    config.addinivalue_line("markers", "mlflow_fails(reason): fails on MLflow itself, passes on Gyre")
    config.stash.setdefault(OUTCOMES, {})


def pytest_collection_modifyitems(items):
    for item in items:
        mark = item.get_closest_marker("mlflow_fails")
        if mark and getattr(item, "callspec", None) and item.callspec.params.get("side") == "mlflow":
            item.add_marker(pytest.mark.xfail(reason=mark.args[0], strict=True))


# ---- the two servers ----

class MlflowServer:
    """A real `mlflow server` on a free loopback port; stop() ends it and the workers it started, by their process group."""

    def __init__(self, folder):
        self.folder = folder
        self.process = None
        self.log = folder / "server.log"
        self.url = None

    def start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
                   "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--artifacts-destination", str(self.folder / "artifacts")]
        # Model sources at other hosts are refused by default since 3.15; the rules about them are compared, too.
        env = {**os.environ, "MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES": "http,https,hdfs,ftp,mlflow-artifacts"}
        env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        env.pop("MLFLOW_TRACKING_URI", None)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True)
        return self

    def wait(self):
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                    if answer.status == 200:
                        return self
            except OSError:
                time.sleep(0.1)
        text = self.log.read_text(errors="replace")
        self.stop()
        raise AssertionError(f"mlflow server did not come up:\n{text[-4000:]}")

    def stop(self):
        if self.process is None:
            return
        for number in (15, 9):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self.process = None


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """{side: url}; one pair a session (with xdist: one a worker)."""
    theirs = MlflowServer(tmp_path_factory.mktemp("mlflow")).start()
    ours = support.Server(tmp_path_factory.mktemp("gyre") / "home")
    try:
        ours.start()
        theirs.wait()
        yield {"gyre": ours.url, "mlflow": theirs.url}
        ours.stop()
    finally:
        ours.kill()
        ours.clean()
        theirs.stop()


class Side:
    """The server under test. `name(text)`: a name that no other test uses."""

    def __init__(self, name, url, node):
        import mlflow
        self.side = name
        self.url = url
        self.node = node
        self.client = mlflow.MlflowClient(url, url)

    def name(self, text):
        return f"{text} {self.node}"

    def experiment(self, **more):
        return self.client.create_experiment(f"{self.node} {time.time_ns()}", **more)


@pytest.fixture(params=SIDES)
def side(request, servers, monkeypatch):
    """The client set up for one server, and left as it was found."""
    import mlflow
    url = servers[request.param]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):  # set_experiment leaves one
        monkeypatch.setenv(name, "")  # so that it is taken back afterwards, whoever sets it
        os.environ.pop(name)
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    mlflow.tracking.fluent._active_experiment_id = None
    one = Side(request.param, url, request.node.originalname.removeprefix("test_"))
    yield one
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.autolog(disable=True)
    mlflow.tracking.fluent._active_experiment_id = None


# ---- both columns ----

def pytest_runtest_setup(item):
    spec = getattr(item, "callspec", None)
    which = spec.params.get("side") if spec else None
    if which is None and "servers" not in item.fixturenames:
        return
    rest = [str(v) for k, v in (spec.params.items() if spec else ()) if k != "side"]
    ids = [part for part in (spec.id.split("-") if spec else ()) if part not in SIDES]
    name = item.path.stem.removeprefix("test_pair_") + ": " + item.originalname.removeprefix("test_").replace("_", " ")
    item.user_properties.append(("pair", name + (f" [{'-'.join(ids)}]" if rest else "")))
    item.user_properties.append(("side", which or "both"))


def note(outcomes, report):
    """How one test ended; the worst of its phases counts."""
    told = dict(report.user_properties)
    if "pair" not in told or (report.when != "call" and report.outcome == "passed"):
        return
    outcome = "fails there" if hasattr(report, "wasxfail") and report.outcome == "skipped" else report.outcome
    for side in SIDES if told["side"] == "both" else [told["side"]]:
        row = outcomes.setdefault(told["pair"], {})
        if row.get(side) != "failed":
            row[side] = outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    note(item.config.stash[OUTCOMES], report)
    return report


def pytest_runtest_logreport(report):
    """Reports of xdist's workers come to the controller by this hook only."""
    if getattr(report, "node", None) is not None:
        note(TABLE, report)


TABLE = {}


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[OUTCOMES] or TABLE
    if not rows:
        return
    try:
        import mlflow
        version = mlflow.__version__
    except ImportError:
        version = "?"
    word = {"passed": "pass", "failed": "FAIL", "skipped": "skip", "fails there": "fails"}
    write = terminalreporter.write_line
    terminalreporter.section("the same tests against both servers")
    width = max(len(name) for name in rows)
    write(f"{'':{width}}  mlflow {version:8} gyre")
    for name, row in sorted(rows.items()):
        write(f"{name:{width}}  {word[row['mlflow']] if 'mlflow' in row else '-':15} {word[row['gyre']] if 'gyre' in row else '-'}")
    count = {side: sum(row.get(side) == "passed" for row in rows.values()) for side in SIDES}
    write(f"{len(rows)} tests: {count['mlflow']} pass on mlflow {version}, {count['gyre']} on gyre")


@pytest.fixture
def outcomes(request):
    return request.config.stash[OUTCOMES]


@pytest.fixture(scope="session")
def big_file(tmp_path_factory):
    """300 MB that do not compress, made once."""
    path = pathlib.Path(tmp_path_factory.mktemp("big")) / "big.bin"
    with open(path, "wb") as out:
        block = os.urandom(1 << 20)
        for i in range(300):
            out.write(i.to_bytes(8, "big") + block[8:])
    return path

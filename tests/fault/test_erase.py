# SPDX-License-Identifier: Apache-2.0
"""One person is erased everywhere: afterwards not one byte of the id is in any file of the home, the project, its DVC cache and
remotes, nor of a backup that was restored; everything else is as it was. Also when the work is killed in the middle."""

import gzip
import io
import json
import pathlib
import random
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
import zipfile

import pytest
import s3server
import serving
import support

SCHEMA = """columns:
  - {name: patient, type: string, required: true, role: subject}
  - {name: HR, type: int, min: 20, max: 300}
  - {name: isSepsis, type: int, values: [0, 1]}
"""
DVC = pathlib.Path(__file__).resolve().parents[2] / ".venv" / "bin" / "dvc"


def unpacked(data):
    """The bytes, and what is in them when they are packed."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as z:
            for name in z.namelist():
                yield z.read(name)


def holders(folder, who):
    """Files that have the id, in their name or in a byte of theirs."""
    found = []
    for path in pathlib.Path(folder).rglob("*"):
        if who in path.name or (path.is_file() and not path.is_symlink() and
                                any(who.encode() in part for part in unpacked(path.read_bytes()))):
            found.append(str(path.relative_to(folder)))
    return found


def rings(home):
    log = (home / "log").stat()
    key = (log.st_ino ^ log.st_dev << 44) & (1 << 64) - 1
    return [p for p in pathlib.Path("/dev/shm").glob(f"gyre-{key:016x}-*.ring")]


def ask(server, rows, request_id=None):
    request = urllib.request.Request(f"{server.url}/v2/models/sepsis/infer", json.dumps(serving.v2(rows)).encode(),
                                     {"Content-Type": "application/json", **({"X-Request-Id": request_id} if request_id else {})})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers["Gyre-Prediction-Id"]


class World:
    """A project with data, DVC and remotes, and a home with all that a server makes; one subject everywhere, others beside."""

    def __init__(self, root, s3=None):
        self.root, self.who = root, "subj-" + secrets.token_hex(8)
        self.project, self.home, self.archive = root / "project", root / "home", root / "archive"
        self.remote = root / "remote"
        self.s3 = s3
        self.project.mkdir()
        self.server = support.Server(self.home).start()

    def gyre(self, *args, env=None):
        return support.run_json(*args, "--home", self.home, cwd=self.project, env={**(env or {}), **self.keys()}, timeout=200)

    def keys(self):
        return s3server.keys(f"http://127.0.0.1:{self.s3[0].port}") if self.s3 else {}

    def ingest(self, name, rows):
        (self.project / "raw").mkdir(exist_ok=True)
        (self.project / "raw" / f"{name}.csv").write_text("patient,HR,isSepsis\n" + "".join(f"{p},{h},{y}\n" for p, h, y in rows))
        self.gyre("data", "ingest", "--data-loc", "raw", "--file-name", f"{name}.csv", "--output-path", f"data/{name}", "--dlq",
                  "dlq.log", "--name", name)

    def fill_project(self):
        (self.project / "schema.yaml").write_text(SCHEMA)
        (self.project / "gyre.yaml").write_text("name: erasing\n")
        others = [(f"other-{i}", 60 + i, i % 2) for i in range(50)]
        self.ingest("people", others[:10] + [(self.who, 70, 1)])
        self.ingest("people", others + [(self.who, 70, 1), (self.who, 999, 1), ("other-x", 999, 0), (self.who, 71, 0)])
        self.ingest("strangers", others)
        (self.project / "data" / "folder").mkdir()
        (self.project / "data" / "folder" / "a.csv").write_text(f"patient,note\nother-1,x\n{self.who},y\n")
        (self.project / "data" / "folder" / "b.csv").write_text("patient,note\nother-2,x\n")
        self.gyre("data", "add", "data/people/data.csv", "data/strangers/data.csv", "data/folder")
        self.gyre("data", "remote", "add", "-d", "store", str(self.remote))
        self.gyre("data", "push")
        if self.s3:
            self.gyre("data", "remote", "add", "cloud", f"s3://{self.s3[1]}/dvc")
            self.gyre("data", "remote", "modify", "cloud", "endpointurl", f"http://127.0.0.1:{self.s3[0].port}")
            self.gyre("data", "push", "--remote", "cloud")

    def fill_home(self):
        version, self.run = serving.register(self.server)
        serving.deploy(self.server, f"models:/sepsis/{version}")
        row = [[100, 15, 37.0]]
        self.mine = [ask(self.server, row, self.who), ask(self.server, row * 3, f"visit/{self.who}/2")]
        self.other = [ask(self.server, row, f"other-{i}") for i in range(20)]
        self.server.kill()  # leaves rings
        self.server.start()
        self.mine.append(ask(self.server, row, self.who))
        self.other.append(ask(self.server, row))
        status, _ = serving.by_socket(self.server, "POST", serving.API + "/reviews", {"prediction_ids": [self.mine[0], self.mine[2], self.other[0]]})
        assert status == 200
        status, _ = serving.by_socket(self.server, "POST", f"{serving.API}/reviews/{self.mine[0]}/0/verdict",
                                      {"verdict": "1", "reason": f"{self.who} is known"})
        assert status == 200
        status, answer = serving.by_socket(self.server, "POST", serving.API + "/feedback", {"feedback": [
            {"prediction_id": self.mine[2], "label": 1}, {"prediction_id": self.other[0], "label": 0},
            {"request_id": self.who, "label": 1}, {"request_id": "other-3", "label": 1}]})
        assert status == 200, answer
        artifact = f"/api/2.0/mlflow-artifacts/artifacts/0/{self.run}/artifacts/"
        serving.must(self.server, "PUT", artifact + "predictions.csv", f"patient,p\nother-1,0.1\n{self.who},0.9\n")
        serving.must(self.server, "PUT", artifact + "notes.txt", f"saw {self.who} today")
        serving.must(self.server, "PUT", artifact + "fine.txt", "nobody")
        serving.must(self.server, "POST", serving.MLFLOW + "/runs/set-tag", {"run_id": self.run, "key": "about", "value": f"of {self.who}"})
        serving.must(self.server, "POST", "/api/gyre/v1/objects", f"patient\n{self.who}\n".encode())  # nothing names it
        (self.home / "runs" / "job.log").write_text(f"step 1\nrow of {self.who} read\n")
        self.gyre("backup", self.archive)

    def erase(self):
        return self.gyre("subject", "erase", self.who, "--reason", "request 17", "--yes", "--path", "raw", "--path", "data")

    def nothing_left(self):
        left = holders(self.home, self.who) + holders(self.project, self.who) + holders(self.remote, self.who)
        if self.s3:
            left += holders(self.s3[0].folder / self.s3[1], self.who)
        assert left == []

    def clean(self):
        self.server.kill()
        self.server.clean()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    try:
        one = s3server.S3Server(tmp_path_factory.mktemp("s3"))
    except s3server.Missing as why:
        pytest.skip(str(why))
    yield one, one.bucket("people")
    one.kill()


def make(root, s3=None):
    world = World(root, s3)
    try:
        world.fill_project()
        world.fill_home()
    except BaseException:
        world.clean()
        raise
    return world


def others_are_as_before(world, before):
    """What is not the subject's: predictions, datasets, reviews, feedback, files."""
    for prediction in world.other:
        assert world.gyre("trace", prediction)["model"] == "sepsis"
    world.gyre("data", "checkout", "strangers@1", "-o", "again.csv")
    assert (world.project / "again.csv").read_bytes() == before["strangers"]
    assert (world.project / "data" / "strangers" / "data.csv").read_bytes() == before["strangers"]
    assert (world.project / "data" / "strangers" / "data.csv.dvc").read_bytes() == before["strangers.dvc"]
    assert (world.project / "data" / "folder" / "b.csv").read_text() == "patient,note\nother-2,x\n"
    people = [line for line in before["people"].splitlines(True) if world.who.encode() not in line]
    assert (world.project / "data" / "people" / "data.csv").read_bytes() == b"".join(people)
    versions = [(v["name"], v["version"]) for v in world.gyre("data", "list")["datasets"]]
    assert versions == [("people", 3), ("strangers", 1)]
    letters = (world.project / "dlq.log").read_text().splitlines()
    assert [json.loads(line).get("erased") for line in letters] == [None, 1] and "other-x" in letters[0]
    assert world.gyre("audit", "verify")["ok"]


def remember(world):
    data = world.project / "data"
    return {"strangers": (data / "strangers" / "data.csv").read_bytes(), "people": (data / "people" / "data.csv").read_bytes(),
            "strangers.dvc": (data / "strangers" / "data.csv.dvc").read_bytes()}


def check_home(world, server):
    """The server's side, after the erasure."""
    for prediction in world.mine:
        erased = world.gyre("trace", prediction)["erased"]
        assert erased["reason"] == "request 17" and erased["erasure"] == world.erasure
    reviews = serving.must(server, "GET", serving.API + "/reviews")["reviews"]
    assert [r["prediction_id"] for r in reviews] == [world.other[0]]
    queue = serving.must(server, "GET", serving.API + "/reviews/summary")
    assert world.who not in json.dumps(queue)
    run = serving.must(server, "GET", f"{serving.MLFLOW}/runs/get?run_id={world.run}")["run"]
    assert {"key": "about", "value": "of [erased]"} in run["data"]["tags"]
    artifact = f"/api/2.0/mlflow-artifacts/artifacts/0/{world.run}/artifacts/"
    assert serving.request(server, "GET", artifact + "predictions.csv")[1] == b"patient,p\nother-1,0.1\n"
    assert serving.request(server, "GET", artifact + "notes.txt")[0] == 404
    assert serving.request(server, "GET", artifact + "fine.txt")[1] == b"nobody"
    assert (world.home / "runs" / "job.log").read_text() == "step 1\nrow of [erased] read\n"
    metrics = serving.request(server, "GET", "/metrics")[1].decode()
    assert "gyre_log_holes 0" in metrics


def everywhere(world):
    before = remember(world)
    assert len(holders(world.home, world.who)) >= 5 and holders(world.archive, world.who)
    assert holders(world.project, world.who) and holders(world.remote, world.who)
    if world.s3:
        assert holders(world.s3[0].folder / world.s3[1], world.who)
    found = world.gyre("subject", "find", world.who, "--path", "raw", "--path", "data")
    said = world.erase()
    world.erasure = said["erasure"]
    world.nothing_left()
    assert all(world.who.encode() not in ring.read_bytes() for ring in rings(world.home))
    kinds = {f["kind"] for f in said["findings"] if f["state"] == "erased"}
    assert kinds >= {"dataset", "predictions", "reviews", "feedback", "artifact", "object", "text", "file", "letters", "dvc", "cache", "remote"}
    assert {f["kind"] for f in found["findings"] if f["state"] == "found"} == kinds - {"dvc"}
    check_home(world, world.server)
    others_are_as_before(world, before)
    # Nothing is found any more, by the running server and by the next one.
    assert [f for f in world.gyre("subject", "find", world.who)["findings"] if f["state"] != "told"] == []
    world.server.stop()
    world.nothing_left()
    world.server.start()
    check_home(world, world.server)
    assert world.who not in world.server.text()


def test_everywhere(tmp_path):
    world = make(tmp_path)
    try:
        everywhere(world)
        restored_too(world)
        if DVC.exists():
            status = subprocess.run([DVC, "status"], cwd=world.project, capture_output=True, text=True, timeout=100, check=False)
            assert status.returncode == 0 and "up to date" in status.stdout, status
    finally:
        world.clean()


def test_a_bucket_of_s3(tmp_path, bucket):
    world = make(tmp_path, bucket)
    try:
        everywhere(world)
    finally:
        world.clean()


def restored_too(world):
    """A snapshot from before the erasure is brought up to date while it is restored, wherever the home is."""
    assert holders(world.archive, world.who)  # snapshots are never changed
    new = world.root / "restored"
    done = support.run_gyre("restore", world.archive, "--home", new, cwd=world.root)
    assert done.returncode == 0, done.stderr
    assert holders(new, world.who) == []
    server = support.Server(new).start()
    try:
        check = World.__new__(World)
        check.__dict__.update(world.__dict__, home=new, server=server)
        check_home(check, server)
        for prediction in world.other:
            assert check.gyre("trace", prediction)["model"] == "sepsis"
        check.gyre("data", "checkout", "strangers@1", "-o", "restored.csv")
        assert (world.project / "restored.csv").read_bytes() == (world.project / "data" / "strangers" / "data.csv").read_bytes()
        assert check.gyre("subject", "list")["erasures"][0]["id"] == world.erasure
        assert check.gyre("audit", "verify")["ok"]
    finally:
        server.stop()


def test_a_ledger_from_elsewhere(tmp_path):
    """The archive was out of reach when the erasure happened: the home's ledger does."""
    world = make(tmp_path)
    try:
        away = tmp_path / "away"
        world.archive.rename(away)
        said = world.erase()
        assert [f["state"] for f in said["findings"] if f["kind"] == "backup"] and "told" in json.dumps(said)
        world.erasure = said["erasure"]
        world.archive = away
        plain = support.run_gyre("restore", away, "--home", tmp_path / "old", cwd=tmp_path)
        assert plain.returncode == 0 and holders(tmp_path / "old", world.who)
        done = support.run_gyre("restore", away, "--home", tmp_path / "new", "--erasures", world.home / "erasures", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert holders(tmp_path / "new", world.who) == []
        # A ledger that somebody changed is refused, and leaves no home.
        entry = next((world.home / "erasures").glob("*.json"))
        entry.write_text(entry.read_text().replace("request 17", "request 18"))
        forged = support.run_gyre("restore", away, "--home", tmp_path / "forged", "--erasures", world.home / "erasures", cwd=tmp_path)
        assert forged.returncode == 13 and not (tmp_path / "forged").exists()
    finally:
        world.clean()


def test_killed_in_the_middle(tmp_path):
    """kill -9 of the whole work (no server: the command does it all) at random moments; the same command finishes it."""
    (tmp_path / "seed").mkdir()
    world = make(tmp_path / "seed")
    try:
        world.server.stop()
        draw = random.Random(17)
        killed, whole = 0, None  # the first one is not killed: it says how long the work takes
        for i in range(9):
            one = World.__new__(World)
            root = tmp_path / f"run{i}"
            shutil.copytree(world.root, root, symlinks=True)
            one.__dict__.update(world.__dict__, root=root, project=root / "project", home=root / "home", remote=root / "remote")
            config = one.project / ".dvc" / "config"
            config.write_text(config.read_text().replace(str(world.remote), str(one.remote)))
            command = [str(support.BIN), "subject", "erase", one.who, "--reason", "request 17", "--yes", "--path", "raw", "--path", "data",
                       "--home", str(one.home)]
            process = subprocess.Popen(command, cwd=one.project, env=support.clean_env(), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            begun = time.monotonic()
            if whole is None:
                assert process.wait() == 0
                whole = time.monotonic() - begun
            else:
                time.sleep(draw.uniform(0, whole))
                process.send_signal(signal.SIGKILL)
                killed += process.wait() == -signal.SIGKILL
            one.erase()
            one.nothing_left()
            states = [e["state"] for e in one.gyre("subject", "list")["erasures"]]
            assert "running" not in states and len(states) in (1, 2), states
            for prediction in world.other:
                assert one.gyre("trace", prediction)["model"] == "sepsis"
            assert one.gyre("audit", "verify")["ok"]
            shutil.rmtree(root)
        assert killed > 0
    finally:
        world.clean()

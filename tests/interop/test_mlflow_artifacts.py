# SPDX-License-Identifier: Apache-2.0
"""Large artifacts with the unmodified mlflow client: in one piece, in parts, and parts that fail on the way."""

import hashlib
import os
import pathlib
import random

import pytest

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

mlflow = pytest.importorskip("mlflow", reason="the mlflow client is not installed")
import requests  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository  # noqa: E402

MIB = 1 << 20


@pytest.fixture(scope="module")
def client(server):
    mlflow.set_tracking_uri(server.url)
    return MlflowClient(server.url, server.url)


@pytest.fixture
def run_id(client):
    return client.create_run("0").info.run_id


@pytest.fixture
def in_parts(monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(5 * MIB))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(5 * MIB))


@pytest.fixture
def sent(monkeypatch):
    """The parts that the client sends, as (URL, answer)."""
    calls, put = [], requests.put

    def spy(url, *args, **kwargs):
        answer = put(url, *args, **kwargs)
        calls.append((url, answer))
        return answer

    monkeypatch.setattr(requests, "put", spy)
    return calls


def make_file(path, size, seed=1):
    block, digest = random.Random(seed).randbytes(MIB), hashlib.sha256()
    with open(path, "wb") as out:
        for i in range(0, size, MIB):
            piece = i.to_bytes(8, "big") + block[8:min(MIB, size - i)]
            piece = piece[:size - i]
            out.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def digest_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        while data := source.read(MIB):
            digest.update(data)
    return digest.hexdigest()


def test_300_mb_in_one_piece(client, run_id, server, tmp_path):
    wanted = make_file(tmp_path / "model.bin", 300 * MIB)
    before = server.rss_kb()
    client.log_artifact(run_id, str(tmp_path / "model.bin"), "model")
    assert [(f.path, f.file_size) for f in client.list_artifacts(run_id, "model")] == [("model/model.bin", 300 * MIB)]
    (tmp_path / "down").mkdir()
    got = client.download_artifacts(run_id, "model/model.bin", str(tmp_path / "down"))
    assert digest_of(got) == wanted
    assert server.rss_kb() - before < 48 << 10


def test_in_parts(client, run_id, server, tmp_path, in_parts, sent):
    size = 43 * MIB + 12345
    wanted = make_file(tmp_path / "größe 1.bin", size)
    client.log_artifact(run_id, str(tmp_path / "größe 1.bin"), "deep/er")
    assert len(sent) == 9 and {answer.status_code for _, answer in sent} == {200}
    assert all(url.startswith(server.url + "/api/2.0/mlflow-artifacts/mpu/part/") for url, _ in sent)
    assert all("Authorization" not in answer.request.headers for _, answer in sent)
    assert [(f.path, f.file_size) for f in client.list_artifacts(run_id, "deep/er")] == [("deep/er/größe 1.bin", size)]
    (tmp_path / "down").mkdir()
    assert digest_of(client.download_artifacts(run_id, "deep/er/größe 1.bin", str(tmp_path / "down"))) == wanted
    objects = [p for p in (server.home / "objects").rglob("*") if p.is_file() and p.name != "lock"]
    assert not [p for p in objects if p.stat().st_size in (5 * MIB + 61, 3 * MIB + 12345 + 61)]  # no part is left


def test_smaller_files_go_in_one_piece(client, run_id, tmp_path, in_parts, sent):
    make_file(tmp_path / "small.bin", 5 * MIB - 1)
    client.log_artifact(run_id, str(tmp_path / "small.bin"))
    assert not sent and client.list_artifacts(run_id)[0].file_size == 5 * MIB - 1


def test_a_part_that_fails_aborts(client, run_id, server, tmp_path, in_parts, monkeypatch):
    make_file(tmp_path / "f.bin", 16 * MIB)
    upload = HttpArtifactRepository._upload_part

    def broken(credential, local_file, size, start_byte):
        if credential.part_number == 3:
            raise OSError("the line is down")
        return upload(credential, local_file, size, start_byte)

    monkeypatch.setattr(HttpArtifactRepository, "_upload_part", staticmethod(broken))
    with pytest.raises(Exception, match="at least one part|line is down"):
        client.log_artifact(run_id, str(tmp_path / "f.bin"))
    assert client.list_artifacts(run_id) == []
    parts = [p for p in (pathlib.Path(server.home) / "objects").rglob("*") if p.is_file() and p.stat().st_size == 5 * MIB + 61]
    assert parts == []
    monkeypatch.undo()
    client.log_artifact(run_id, str(tmp_path / "f.bin"))
    assert client.list_artifacts(run_id)[0].file_size == 16 * MIB


def test_downloads_in_parts_fall_back(client, run_id, tmp_path, monkeypatch):
    wanted = make_file(tmp_path / "f.bin", 3 * MIB)
    client.log_artifact(run_id, str(tmp_path / "f.bin"))
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
    (tmp_path / "down").mkdir()
    assert digest_of(client.download_artifacts(run_id, "f.bin", str(tmp_path / "down"))) == wanted


def test_texts_come_packed_and_are_unpacked(client, run_id, tmp_path):
    text = "step,loss\n" + "".join(f"{i},{1 / (i + 1)}\n" for i in range(50_000))
    client.log_text(run_id, text, "log/history.csv")
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/log/history.csv") == text
    answer = requests.get(f"{client.tracking_uri}/get-artifact", {"run_id": run_id, "path": "log/history.csv"}, timeout=60)
    assert answer.headers["Content-Encoding"] == "gzip" and answer.text == text
    client.log_dict(run_id, {"k": ["v"] * 1000}, "d.json")
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/d.json") == {"k": ["v"] * 1000}

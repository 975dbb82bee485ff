# SPDX-License-Identifier: Apache-2.0
"""Files of runs: text, dicts, figures, images, tables, folders, 300 MB; listed, downloaded, missing."""

import concurrent.futures
import hashlib
import json
import os
import pathlib

import mlflow
import numpy
import pandas
import pytest
from mlflow.exceptions import MlflowException


def test_folders(side, tmp_path):
    run_id = side.client.create_run(side.experiment()).info.run_id
    folder = tmp_path / "folder"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_text("alpha")
    (folder / "empty").write_bytes(b"")
    blob = os.urandom(3 << 20)
    (folder / "deep" / "er" / "blob ü & +.bin").write_bytes(blob)
    side.client.log_text(run_id, "grüße", "notes/hello.txt")
    side.client.log_dict(run_id, {"k": [1, 2]}, "d.json")
    side.client.log_dict(run_id, {"k": [1, 2]}, "d.yaml")
    side.client.log_artifact(run_id, str(folder / "a.txt"))
    side.client.log_artifacts(run_id, str(folder), "all")
    listed = {f.path: (f.is_dir, f.file_size) for f in side.client.list_artifacts(run_id)}
    assert set(listed) == {"a.txt", "all", "d.json", "d.yaml", "notes"}
    assert listed["a.txt"] == (False, 5) and listed["all"][0] and listed["notes"][0]
    assert [f.path for f in side.client.list_artifacts(run_id, "all")] == ["all/a.txt", "all/deep", "all/empty"]
    assert list(side.client.list_artifacts(run_id, "a.txt")) == []
    assert list(side.client.list_artifacts(run_id, "no such")) == []
    down = tmp_path / "down"
    down.mkdir()
    side.client.download_artifacts(run_id, "", str(down))
    assert (down / "all" / "deep" / "er" / "blob ü & +.bin").read_bytes() == blob
    assert (down / "all" / "empty").read_bytes() == b"" and (down / "notes" / "hello.txt").read_text() == "grüße"
    assert json.loads((down / "d.json").read_text()) == {"k": [1, 2]}
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes/hello.txt") == "grüße"
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/d.json") == {"k": [1, 2]}
    assert {f.path for f in mlflow.artifacts.list_artifacts(f"runs:/{run_id}/all")} == {"all/a.txt", "all/deep", "all/empty"}
    one = mlflow.artifacts.download_artifacts(artifact_uri=f"runs:/{run_id}/all/a.txt", dst_path=str(tmp_path / "one"))
    assert open(one, encoding="utf-8").read() == "alpha"
    side.client.log_text(run_id, "second", "notes/hello.txt")
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes/hello.txt") == "second"


def test_a_missing_file_is_told_at_once(side, tmp_path):
    run_id = side.client.create_run(side.experiment()).info.run_id
    with pytest.raises(MlflowException, match="Failed to download artifacts|No such artifact|not found"):
        side.client.download_artifacts(run_id, "nope.txt", str(tmp_path))


def test_image_figure_table(side):
    import matplotlib.pyplot
    mlflow.set_experiment(side.name("things"))
    figure, axes = matplotlib.pyplot.subplots()
    axes.plot([1, 2], [3, 4])
    with mlflow.start_run() as run:
        mlflow.log_image(numpy.zeros((4, 4, 3), dtype=numpy.uint8), "black.png")
        mlflow.log_image(numpy.ones((4, 4, 3), dtype=numpy.uint8), key="steps", step=1)
        mlflow.log_image(numpy.ones((4, 4, 3), dtype=numpy.uint8), key="steps", step=2)
        mlflow.log_figure(figure, "plots/line.png")
        mlflow.log_table({"q": ["a", "b"], "n": [1, 2]}, "table.json")
        mlflow.log_table(pandas.DataFrame({"q": ["c"], "n": [3]}), "table.json")
        mlflow.log_text("x", "x.txt")
        mlflow.log_dict({"a": 1}, "x.json")
    matplotlib.pyplot.close(figure)
    run_id = run.info.run_id
    assert mlflow.artifacts.load_image(f"runs:/{run_id}/black.png").size == (4, 4)
    assert len(side.client.list_artifacts(run_id, "images")) == 4  # a file and its small copy for each step
    assert [f.path for f in side.client.list_artifacts(run_id, "plots")] == ["plots/line.png"]
    assert mlflow.load_table("table.json", run_ids=[run_id])["n"].tolist() == [1, 2, 3]
    tables = mlflow.load_table("table.json", extra_columns=["run_id"])
    assert set(tables["run_id"]) == {run_id}
    assert json.loads(side.client.get_run(run_id).data.tags["mlflow.loggedArtifacts"]) == [{"path": "table.json", "type": "table"}]


def test_300_mb(side, big_file, tmp_path):
    run_id = side.client.create_run(side.experiment()).info.run_id
    side.client.log_artifact(run_id, str(big_file), "big")
    listed = side.client.list_artifacts(run_id, "big")
    assert [(f.path, f.file_size) for f in listed] == [("big/big.bin", 300 << 20)]
    got = side.client.download_artifacts(run_id, "big/big.bin", str(tmp_path))
    with open(got, "rb") as a, open(big_file, "rb") as b:
        assert hashlib.file_digest(a, "sha256").digest() == hashlib.file_digest(b, "sha256").digest()
    os.unlink(got)


def test_own_location(side, tmp_path):
    """Where an experiment has a place of its own the client goes there by itself; the server only keeps the name of it."""
    place = f"file://{tmp_path}/place"
    experiment = side.experiment(artifact_location=place)
    run = side.client.create_run(experiment)
    assert run.info.artifact_uri == f"{place}/{run.info.run_id}/artifacts"
    side.client.log_text(run.info.run_id, "here", "a/b.txt")
    assert (tmp_path / "place" / run.info.run_id / "artifacts" / "a" / "b.txt").read_text() == "here"
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/a/b.txt") == "here"


def test_files_of_many_at_once(side, tmp_path):
    run_id = side.client.create_run(side.experiment()).info.run_id
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: side.client.log_text(run_id, f"text {i}", f"many/{i % 4}/{i}.txt"), range(40)))
    down = side.client.download_artifacts(run_id, "many", str(tmp_path))
    assert sorted(p.read_text() for p in pathlib.Path(down).rglob("*.txt")) == sorted(f"text {i}" for i in range(40))

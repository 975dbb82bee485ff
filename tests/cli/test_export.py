# SPDX-License-Identifier: Apache-2.0
"""gyre export mlflow without MLflow; tests/interop/test_move.py opens exports with it."""

import pytest

import serving
import support


@pytest.mark.parametrize("kind", ["sqlite", "files"])
def test_an_export_of_metadata_alone_has_no_bytes(server, tmp_path, kind):
    """It ended in memory that was never set up."""
    run = serving.must(server, "POST", serving.MLFLOW + "/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    serving.must(server, "PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/a.bin", b"bytes of an artifact")
    for options in ([], ["--no-artifacts"]):
        folder = tmp_path / f"out{len(options)}"
        report = support.run_json("export", "mlflow", folder, "--format", kind, *options, "--home", server.home, cwd=tmp_path)
        assert report["runs"] >= 1
        assert bool(list(folder.rglob("a.bin"))) == (not options)

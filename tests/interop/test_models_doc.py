# SPDX-License-Identifier: Apache-2.0
"""Every command of docs/models.md does what it says, and its Python runs."""

import os
import re
import subprocess

import pytest

import support

np = pytest.importorskip("numpy", reason="numpy is not installed")


def make_files(folder):
    """model.txt, network.onnx, rows.csv and the registered models churn-trees and sepsis, as the page supposes them."""
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.uniform(50, 140, 500), rng.uniform(35, 41, 500)])
    y = (x[:, 0] / 100 + x[:, 1] > 39).astype(int)
    data = lightgbm.Dataset(x, y, feature_name=["HR", "Temp"])
    lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 5).save_model(folder / "model.txt")
    (folder / "rows.csv").write_text("HR,Temp\n104,38.9\n,36.5\n")
    rows = "".join(f"{i},{a:.0f},{b:.1f},{c}\n" for i, ((a, b), c) in enumerate(zip(x, y)))
    (folder / "t.csv").write_text("id,HR,Temp,fever\n" + rows)
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    weights = [onnx.numpy_helper.from_array(np.array([[0.1], [1.0]], dtype=np.float32), "w"), onnx.numpy_helper.from_array(np.float32([-48]), "b")]
    graph = onnx.helper.make_graph([node("Gemm", ["x", "w", "b"], ["z"]), node("Sigmoid", ["z"], ["y"])], "g", [value("x", 1, ["n", 2])],
                                   [value("y", 1, ["n", 1])], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (folder / "network.onnx").write_bytes(model.SerializeToString())
    support.run_json("train", "t.csv", "--target", "fever", "--features", "HR,Temp", "--learner", "xgboost", "--register", "churn-trees", cwd=folder)
    (folder / "s.csv").write_text("HR,fever,sick\n" + "".join(f"{a:.0f},{c},{int(a > 100 and c)}\n" for (a, _), c in zip(x, y)))
    support.run_json("train", "s.csv", "--target", "sick", "--features", "HR,fever", "--learner", "xgboost", "--register", "sepsis", cwd=folder)


def test_every_command_of_the_page(tmp_path):
    why = subprocess.run([support.ROOT / "deps/onnxruntime.sh", "--why"], capture_output=True, text=True, check=False)
    if why.returncode == 0 and not os.environ.get("GYRE_LIBDIR"):
        pytest.skip(why.stdout.strip())
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    make_files(tmp_path)
    page = (support.ROOT / "docs/models.md").read_text()
    commands = re.findall(r"^    gyre (.*)$", page, flags=re.M)
    assert len(commands) >= 6
    for command in commands:
        done = support.run_gyre(*command.split(), cwd=tmp_path)
        assert done.returncode == 0, (command, done.stderr)
    assert support.run_json("models", "show", "churn/1", cwd=tmp_path)["servable"] == "yes"
    assert support.run_json("models", "show", "fever/1", cwd=tmp_path)["servable"] == "yes"
    assert support.run_json("models", "show", "triage/1", cwd=tmp_path)["servable"] == "yes"
    assert (tmp_path / "package" / "MLmodel").exists()
    code = re.search(r"```python\n(.*?)```", page, flags=re.S).group(1).replace('"trees.onnx"', repr(str(tmp_path / "trees.onnx")))
    found = {"onnxruntime": runtime}
    exec(code, found)  # noqa: S102 the page's own
    assert found["label"].tolist() == ["1"] and found["probabilities"].shape == (1, 2)

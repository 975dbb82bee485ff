# SPDX-License-Identifier: Apache-2.0
"""gyre models import: a bare model file becomes a package, or says why not."""

import support


def test_import_says_what_is_wrong(tmp_path):
    (tmp_path / "m.txt").write_text("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\nobjective=regression\n"
                                    "feature_names=a b\nfeature_infos=[0:1] [0:1]\ntree_sizes=1\n\nTree=0\nnum_leaves=1\nleaf_value=3\n\nend of trees\n")
    (tmp_path / "m.pkl").write_bytes(b"\x80\x04\x95")
    (tmp_path / "m.bin").write_bytes(b"hello")

    def fails(code, says, *args):
        done = support.run_gyre("models", "import", *args, cwd=tmp_path)
        assert done.returncode == code and says in done.stderr, done

    fails(3, "3 names for a model with 2 inputs", "m", "m.txt", "--inputs", "a,b,c")
    fails(3, "two inputs are named 'a'", "m", "m.txt", "--inputs", "a,a")
    fails(19, "skl2onnx.to_onnx", "m", "m.pkl")
    fails(19, "no model that is known", "m", "m.bin")
    fails(4, "nowhere.ubj", "m", "nowhere.ubj")
    made = support.run_json("models", "import", "m", "m.txt", "--inputs", "x,z", "-o", "package", cwd=tmp_path)
    assert made == {"made_by": "LightGBM", "flavor": "lightgbm", "inputs": 2, "out": "package"}
    fails(5, "exists", "m", "m.txt", "-o", "package")
    (tmp_path / "rows.csv").write_text("x,z\n1,2\n")
    assert "3" in support.run_gyre("predict", "package", "rows.csv", cwd=tmp_path).stdout
    made = support.run_json("models", "import", "m", "m.txt", cwd=tmp_path)
    assert made["servable"] and made["version"] == 1 and len(made["digest"]) == 64

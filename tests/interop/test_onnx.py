# SPDX-License-Identifier: Apache-2.0
"""ONNX both ways: models of scikit-learn and hand-made graphs answered by Gyre as the Python package onnxruntime answers them."""

import json
import os
import subprocess

import pytest

import support

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
np = pytest.importorskip("numpy", reason="numpy is not installed")
pd = pytest.importorskip("pandas", reason="pandas is not installed")

from foreign import encoder, scikit  # noqa: E402


@pytest.fixture(scope="module")
def library():
    """ONNX Runtime's C library; without it Gyre can answer no ONNX model."""
    why = subprocess.run([support.ROOT / "deps/onnxruntime.sh", "--why"], capture_output=True, text=True, check=False)
    if why.returncode == 0 and not os.environ.get("GYRE_LIBDIR"):
        pytest.skip(why.stdout.strip())


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(11)
    t = pd.DataFrame(rng.normal(size=(3_000, 3)), columns=["x0", "x1", "x2"])
    t["ward"] = rng.choice(["icu", "Surgery", "maternity", "ward 7"], len(t))
    score = t["x0"] - t["x1"] + (t["ward"] == "icu") + 0.3 * rng.normal(size=len(t))
    t["number"], t["two"] = score, np.where(score > 0.5, "sick", "well")
    t["three"] = np.digitize(score, [0, 1.5])
    return t


NUMBERS = ["x0", "x1", "x2"]


def make_package(model, folder, signature=None):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    mlflow.onnx.save_model(model, str(folder), pip_requirements=[], signature=signature)
    return folder


def predict(folder, x, cwd):
    x.to_csv(cwd / "rows.csv", index=False, float_format="%.17g")
    done = support.run_gyre("predict", folder, "rows.csv", "-o", "out.jsonl", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (cwd / "out.jsonl").open()]


def run_python(model, x):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) == 1:
        feed = {inputs[0].name: x.to_numpy("float64" if "double" in inputs[0].type else "float32")}
    else:
        feed = {i.name: x[[i.name]].to_numpy(object if "string" in i.type else "float64" if "double" in i.type else "float32") for i in inputs}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind,target", [("logistic", "two"), ("logistic", "three"), ("forest", "two"), ("boosting", "three"), ("network", "three"),
                                         ("network", "two"), ("svm", "two"), ("linear", "number"), ("trees", "number")])
def test_scikit_learn_by_way_of_onnx(library, table, tmp_path, kind, target):
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    fitted = scikit(kind).fit(table[NUMBERS][:800].to_numpy("float32"), table[target][:800])
    options = None if target == "number" else {"zipmap": False}
    model = skl2onnx.to_onnx(fitted, table[NUMBERS][:1].to_numpy("float32"), options=options)
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    folder = make_package(model, tmp_path / "model", mlflow.models.infer_signature(table[NUMBERS][:5]))
    ours, theirs = predict(folder, table[NUMBERS], tmp_path), run_python(model, table[NUMBERS])
    if target == "number":
        assert np.allclose([line["prediction"] for line in ours], theirs["variable"].ravel(), rtol=1e-5, atol=1e-5)
        return
    p = theirs["probabilities"]
    if target == "two":
        assert np.allclose([line["probability"] for line in ours], p[:, 1], atol=1e-5)
    else:
        assert np.allclose([line["probability"] for line in ours], p.max(axis=1), atol=1e-5)
    if kind == "svm":  # its label is not the class of the larger probability
        return
    sure = np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2] > 1e-4
    assert [str(line["prediction"]) for line, s in zip(ours, sure) if s] == [str(v) for v, s in zip(theirs["label"], sure) if s]
    assert sure.sum() > 2_500


@pytest.mark.filterwarnings("ignore")
def test_columns_by_name_and_texts(library, table, tmp_path):
    """One input a column, in another order than the signature's; a text that no encoder knows is none of them."""
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    x = table[["ward", "x1", "x0"]].copy()
    fitted = encoder().fit(x[:800], table["two"][:800])
    model = skl2onnx.to_onnx(fitted, initial_types=[("x0", FloatTensorType([None, 1])), ("x1", FloatTensorType([None, 1])),
                                                    ("ward", StringTensorType([None, 1]))], options={"zipmap": False})
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    folder = make_package(model, tmp_path / "model", mlflow.models.infer_signature(x[:5]))
    x.loc[::40, "ward"] = "a new wing"
    assert np.allclose([line["probability"] for line in predict(folder, x, tmp_path)], run_python(model, x)["probabilities"][:, 1], atol=1e-5)


def graph(nodes, inputs, outputs, weights=(), opset=17):
    helper = onnx.helper
    g = helper.make_graph(nodes, "g", inputs, outputs, [onnx.numpy_helper.from_array(v, n) for n, v in weights])
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="by hand")


def value(name, shape, kind=onnx.TensorProto.FLOAT):
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def network(end, width, rows="n"):
    """x [n, 3] -> MatMul -> end, as PyTorch exports a small network."""
    node = onnx.helper.make_node
    w = np.linspace(-1, 1, 3 * width, dtype=np.float32).reshape(3, width)
    nodes = [node("MatMul", ["x", "w"], ["z"])] + ([node(end, ["z"], ["y"])] if end else [node("Identity", ["z"], ["y"])])
    return graph(nodes, [value("x", [rows, 3])], [value("y", [rows, width])], [("w", w)])


@pytest.mark.parametrize("end,width,key", [("Sigmoid", 1, "probability"), ("Softmax", 2, "probability"), ("Softmax", 4, "probability"),
                                           (None, 1, "prediction")])
@pytest.mark.parametrize("rows", ["n", 1])
def test_networks(library, table, tmp_path, end, width, key, rows):
    x = table[NUMBERS][:200]
    theirs = run_python(network(end, width), x)["y"]
    want = theirs[:, 1] if width == 2 else theirs.max(axis=1)
    folder = make_package(network(end, width, rows), tmp_path / "model")
    x = x.rename(columns=dict(zip(NUMBERS, ["f0", "f1", "f2"])))
    assert np.allclose([line[key] for line in predict(folder, x, tmp_path)], want, atol=1e-5)


def refused(model, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  onnx:\n    data: model.onnx\n")
    (folder / "model.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    (tmp_path / "rows.csv").write_text("f0,f1,f2\n1,2,3\n")
    done = support.run_gyre("predict", "model", "rows.csv", cwd=tmp_path)
    assert done.returncode in (13, 19), done
    return done.stderr


def test_what_is_refused_and_what_to_do(library, table, tmp_path_factory):
    node, new = onnx.helper.make_node, tmp_path_factory.mktemp
    assert "dynamic batch" in refused(network(None, 1, 16), new("batch"))
    assert "how many columns" in refused(graph([node("ReduceSum", ["x"], ["y"])], [value("x", ["n", "d"])], [value("y", [1, 1])]), new("open"))
    assert "damaged" in refused(network(None, 1).SerializeToString()[:-9], new("cut"))
    assert "ONNX Runtime refuses" in refused(graph([node("NoSuchOperator", ["x"], ["y"])], [value("x", ["n", 3])], [value("y", ["n", 1])]), new("op"))
    body = onnx.helper.make_graph([node("Identity", ["c"], ["c2"])], "b", [value("i", [], onnx.TensorProto.INT64), value("c", [], onnx.TensorProto.BOOL)],
                                  [value("c2", [], onnx.TensorProto.BOOL)])
    loop = graph([node("Loop", ["", "go"], [], body=body), node("ReduceMax", ["x"], ["y"], axes=[1])], [value("x", ["n", 3])], [value("y", ["n", 1])],
                 [("go", np.array(True))])
    assert "Loop" in refused(loop, new("loop"))
    assert "pickle" in refused(b"\x80\x04\x95abc", new("pickle"))


def test_weights_in_another_file_are_refused(library, tmp_path):
    """A model could name any file of the server as its weights."""
    model = network(None, 1)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location="../../../etc/passwd", offset=0, length=12)
    model.graph.initializer[0].ClearField("raw_data")
    assert "external data" in refused(model, tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_zipmap_is_refused_with_the_option_to_use(library, table, tmp_path):
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    x = table[NUMBERS][:100].to_numpy("float32")
    assert "'zipmap': False" in refused(skl2onnx.to_onnx(scikit("logistic").fit(x, table["two"][:100]), x[:1]), tmp_path)


# ---- export ----

STEPS = """
train:
  features: [x0, x1, x2, code]
  steps:
  - impute: {by: median, indicator: true, columns: [x0, x1]}
  - impute: {by: mean, columns: [x2]}
  - clip: {low: -2, high: 2, columns: [x1]}
  - bins: {bins: 4, columns: [x1]}
  - minmax: {columns: [x1]}
  - log: {offset: 10, columns: [x2]}
  - onehot: {columns: [code]}
  - interactions: {columns: [x0, x1]}
  - polynomial: {degree: 2, columns: [x0, x2]}
  - zscore
"""
PLAIN = "train: {features: [x0, x1, x2], steps: [impute: median, zscore]}\n"
CODES = "train: {features: [x0, code], steps: [ordinal: {columns: [code], unseen: 7}, impute: median]}\n"
RAW = "train: {features: [x0, x1, x2], steps: []}\n"


def export(cwd):
    done = support.run_gyre("models", "export", "package", "-o", "m.onnx", cwd=cwd)
    assert done.returncode == 0, done.stderr
    model = onnx.load(str(cwd / "m.onnx"))
    onnx.checker.check_model(model, full_check=True)
    return model


def train(table, target, learner, params, cwd, rows=1_500):
    frame = table[["x0", "x1", "x2", "code", target]].copy()
    frame.loc[::17, "x0"] = np.nan
    frame.loc[::23, "x1"] = np.nan
    frame[:rows].to_csv(cwd / "t.csv", index_label="id")
    (cwd / "params.yaml").write_text(params)
    done = support.run_gyre("train", "t.csv", "--target", target, "--learner", learner, "--params", "params.yaml", "--out", "package", "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return frame.drop(columns=target)


@pytest.mark.parametrize("learner,target,params", [
    ("logistic", "two", STEPS), ("logistic", "three", PLAIN), ("linear", "number", STEPS), ("glm", "positive", PLAIN), ("xgboost", "two", RAW),
    ("xgboost", "three", CODES), ("xgboost", "number", STEPS), ("forest", "two", PLAIN), ("forest", "three", PLAIN), ("forest", "number", CODES),
    ("mlp", "two", PLAIN), ("mlp", "three", STEPS), ("mlp", "number", PLAIN), ("majority", "three", RAW), ("majority", "number", PLAIN)])
def test_exported_models_agree_with_onnxruntime(table, tmp_path, learner, target, params):
    table = table.assign(positive=np.exp(table["number"] / 2), two=(table["two"] == "sick").astype(int), code=table.index % 7 * 10)
    x = train(table, target, learner, params, tmp_path)
    x.loc[::40, "code"] = 99  # training has not seen it
    model = export(tmp_path)
    names = [i.name for i in model.graph.input]
    assert names == [n for n in ["x0", "x1", "x2", "code"] if n in params.split("features:")[1].split("]")[0]]
    theirs = run_python(model, x[names])
    ours = predict("package", x[names], tmp_path)
    if target in ("number", "positive"):
        assert np.allclose([line["prediction"] for line in ours], theirs[target].ravel(), rtol=1e-5, atol=1e-5)
        return
    p = theirs["probabilities"]
    assert p.shape == (len(x), 2 if target == "two" else 3) and np.allclose(p.sum(axis=1), 1, atol=1e-5)
    assert np.allclose([line["probability"] for line in ours], p[:, 1] if target == "two" else p.max(axis=1), atol=1e-5)
    sure = np.abs(np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2]) > 1e-4
    assert [str(line["prediction"]) for line, s in zip(ours, sure) if s] == [str(v) for v, s in zip(theirs["label"], sure) if s]


def test_texts_go_by_their_names(library, table, tmp_path):
    """A text input is a tensor of strings; what no encoder knows, and what is missing, is answered as Gyre answers it, and imported again."""
    frame = table[["x0", "ward", "two"]].copy()
    frame.loc[::31, "ward"] = None
    frame[:1_500].to_csv(tmp_path / "t.csv", index_label="id")
    (tmp_path / "params.yaml").write_text("train: {features: [x0, ward], steps: [onehot: {columns: [ward]}, impute: median, zscore]}\n")
    done = support.run_gyre("train", "t.csv", "--target", "two", "--learner", "logistic", "--params", "params.yaml", "--out", "package", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    model = export(tmp_path)
    assert [(i.name, i.type.tensor_type.elem_type) for i in model.graph.input] == [("x0", onnx.TensorProto.DOUBLE), ("ward", onnx.TensorProto.STRING)]
    x = frame[["x0", "ward"]]
    x.loc[::40, "ward"] = "a new wing"
    theirs = run_python(model, x.fillna({"ward": ""}))["probabilities"][:, 1]
    assert np.allclose([line["probability"] for line in predict("package", x, tmp_path)], theirs, atol=1e-5)
    assert support.run_json("models", "import", "texts", "m.onnx", cwd=tmp_path)["servable"]
    assert np.allclose([line["probability"] for line in predict("texts/1", x, tmp_path)], theirs, atol=1e-5)


def test_what_was_exported_is_imported_again(library, table, tmp_path):
    x = train(table.assign(code=table.index % 7), "two", "logistic", STEPS, tmp_path)
    export(tmp_path)
    before = predict("package", x, tmp_path)
    made = support.run_json("models", "import", "again", "m.onnx", "--target", "two", cwd=tmp_path)
    assert made["servable"] and made["version"] == 1 and made["flavor"] == "onnx", made
    after = predict("again/1", x, tmp_path)
    assert [line["prediction"] for line in after] == [line["prediction"] for line in before]
    assert np.allclose([line["probability"] for line in after], [line["probability"] for line in before], atol=1e-6)


def test_what_has_no_form_in_onnx_says_so(table, tmp_path):
    train(table.assign(code=0), "number", "formula", "train: {features: [x0, x1], steps: [impute: median], formula: {formula: 'x0 - x1'}}\n", tmp_path)
    done = support.run_gyre("models", "export", "package", "-o", "m.onnx", cwd=tmp_path)
    assert done.returncode == 20 and "formula" in done.stderr and not (tmp_path / "m.onnx").exists(), done

# SPDX-License-Identifier: Apache-2.0
"""`gyre flow import`: the pipeline gives the metrics that the notebook gives, run by the real nbclient, Gyre and DVC."""

import json
import os
import pathlib
import random
import re
import subprocess
import sys

import pytest

import support

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
pytest.importorskip("pandas", reason="pandas is not installed")

PATH = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def notebook(*cells, language="python"):
    """A notebook of (tags, source) cells; a source alone has no tags; "# ..." with tags None is prose."""
    nb = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": language}})
    for cell in cells:
        tags, source = cell if isinstance(cell, tuple) else ("", cell)
        if tags is None:
            nb.cells.append(nbformat.v4.new_markdown_cell(source))
        else:
            nb.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags.split()} if tags else {}))
    return nb


def write(folder, nb, name="notebook.ipynb"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    nbformat.write(nb, path)
    return path


def run_notebook(folder, nb):
    """Run it in the folder as Jupyter does, with a kernel of its own that is stopped."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    nbclient.NotebookClient(nb, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()


def flow_import(folder, *args, name="notebook.ipynb", env=None):
    return support.run_gyre("flow", "import", name, *args, cwd=folder, env=env)


def imported(folder, *args):
    return support.run_json("flow", "import", "notebook.ipynb", *args, cwd=folder)


def run_pipeline(folder, *args):
    done = support.run_gyre("run", *args, "--json", cwd=folder, env={"PATH": PATH})
    assert done.returncode == 0, done.stderr + done.stdout
    return {s["stage"]: s["status"] for s in json.loads(done.stdout)["stages"]}


def metrics_of(folder):
    return {str(p.relative_to(folder)): json.loads(p.read_text())
            for p in sorted([*folder.glob("*.json"), *folder.glob("metrics/*.json")])}


RICH = [
    (None, "# Which flowers are alike"),
    ("parameters", "seed = 11\ntrees: int = 12\nrate = 1e-05\nshape = (4, 2)\nnames = [\"a\", \"yes\", \"1e3\"]\n"
                   "options = {\"max_depth\": 3, \"min_samples_leaf\": 2}\nword = \"no: 'ö' \\\\ \\u2028 #\"\nfound = 2 * trees"),
    "%matplotlib inline\n!pip --version\nfrom __future__ import annotations\nimport json\nimport random\nimport os\n"
    "import numpy as np, warnings\nimport pandas as pd\nfrom pathlib import Path\n"
    "warnings.filterwarnings('ignore')\nDATA = Path('data') / 'iris.csv'\nTARGET = 'kind'",
    # A class, functions with globals of the notebook, a lambda; a seed for all.
    "class Scaler:\n    def fit(self, x):\n        self.top = x.max(axis=0) * FACTOR\n        return self\n"
    "    def apply(self, x):\n        return half(x / self.top)\nhalf = lambda x: x / 2\nFACTOR = 2\n"
    "def noise(n):\n    return np.random.normal(size=n) * rate\n"
    "class Nearest:\n    def __init__(self, trees, **options):\n        self.trees, self.options = trees, options\n"
    "    def fit(self, x, y):\n        self.middle = np.stack([x[y == k].mean(axis=0) for k in sorted(set(y))])\n        return self\n"
    "    def predict(self, x):\n        return np.argmin(((x[:, None] - self.middle) ** 2).sum(axis=2) * self.trees, axis=1)\n"
    "random.seed(seed)\nnp.random.seed(seed)\nhistory = []",
    ("skip", "print(pd.DataFrame({'x': [1]}).describe())"),
    ("stage:prepare", "os.makedirs('data', exist_ok=True)\nframe = pd.DataFrame(np.random.normal(size=(150, 2)), columns=['a', 'b'])\n"
                      "frame[TARGET] = np.arange(150) % 3\nframe['a'] += frame[TARGET]\nframe['noise'] = noise(len(frame))\nframe.to_csv(DATA, index=False)"),
    "x = frame.drop(columns=[TARGET]).to_numpy()\ny = frame[TARGET].to_numpy()\nscaler = Scaler().fit(x)\n"
    "order = np.random.permutation(len(x))\nx_train, x_test, y_train, y_test = x[order[:99]], x[order[99:]], y[order[:99]], y[order[99:]]\n"
    "history.append(len(x_train)); kinds = sorted(set(y.tolist()))\nif seed > 5:\n    lucky = random.random()",
    ("stage:train", "%time model = Nearest(trees, **options).fit(scaler.apply(x_train), y_train)\n"
                    "history.append(len(model.middle))\nmodel?\ndf = pd.read_csv(DATA)\nif len(df) > 10_000:\n    lucky = 0\n"
                    "options['max_depth'] = 99"),
    ("skip exploration", "model.middle"),
    ("stage:evaluate", "%%time\ndef accuracy_score(a, b):\n    return (a == b).mean()\npredicted = model.predict(scaler.apply(x_test))\n"
                       "for i, kind in enumerate(kinds):\n    history.append(int((predicted == kind).sum()))"),
    ("metrics", "accuracy = accuracy_score(y_test, predicted)\ndraw = float(np.random.rand())\n"
                "result = {'accuracy': accuracy, 'draw': draw, 'lucky': lucky, 'random': random.random(), 'history_sum': sum(history),\n"
                "          'deep': {'rows': len(y_test)}, 'text': 'left out', 'float32': np.float32(0.1)}"),
    ("stage:report", "confusion = np.histogram2d(y_test, predicted, bins=3)[0].tolist()\nwith open('report.json', 'w') as out:\n"
                     "    json.dump({'history': history, 'found': found, 'shape': shape[0], 'names': names, 'depth': options['max_depth'],\n"
                     "               'word': word, 'rate': rate, 'tuple': isinstance(shape, tuple), 'cm': confusion}, out)\n"
                     "print(f'{accuracy:.3f} of {TARGET}')"),
]
# In the notebook the tagged cell only sets variables: the same as a file, to compare.
AS_FILE = "import json, os\nos.makedirs('metrics', exist_ok=True)\nresult['float32'] = result['float32'].item()\ndel result['text']\n" \
          "json.dump(result, open('metrics/evaluate.json', 'w'))"


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """(metrics of the notebook, folder of the imported project, answer of the import)"""
    base = tmp_path_factory.mktemp("rich")
    run_notebook(base / "by-hand", notebook(*RICH, AS_FILE))
    write(base / "project", notebook(*RICH))
    return metrics_of(base / "by-hand"), base / "project", imported(base / "project")


def test_the_pipeline_gives_the_metrics_of_the_notebook(rich):
    wanted, folder, answer = rich
    assert set(wanted) == {"metrics/evaluate.json", "report.json"}
    assert run_pipeline(folder) == dict.fromkeys(["prepare", "train", "evaluate", "report"], "done")
    assert metrics_of(folder) == wanted
    assert wanted["report.json"]["depth"] == 99 and wanted["report.json"]["tuple"] is True
    assert run_pipeline(folder) == dict.fromkeys(["prepare", "train", "evaluate", "report"], "unchanged")
    stages = {s["stage"]: s for s in answer["stages"]}
    assert stages["prepare"]["outs"][0] == "data/iris.csv" and "data/iris.csv" in stages["train"]["deps"]
    assert stages["evaluate"]["metrics"] == ["metrics/evaluate.json"] and stages["report"]["metrics"] == ["report.json"]
    assert "trees" in stages["train"]["params"] and "trees" not in stages["evaluate"]["params"]
    notes = " ".join(n["text"] for n in answer["notices"])
    assert "%matplotlib inline" in notes and "!pip --version" in notes and "`found` is no plain value" in notes


def test_dvc_repro_runs_the_same_pipeline(rich, tmp_path):
    pytest.importorskip("dvc", reason="DVC is not installed")
    wanted, folder, _ = rich
    for name in ("notebook.ipynb", "dvc.yaml", "params.yaml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "stages").mkdir()
    for script in (folder / "stages").glob("*.py"):
        (tmp_path / "stages" / script.name).write_bytes(script.read_bytes())
    env = support.clean_env({"PATH": PATH, "DVC_NO_ANALYTICS": "1", "HOME": str(tmp_path)})
    dvc = str(pathlib.Path(sys.executable).parent / "dvc")
    subprocess.run([dvc, "init", "--no-scm", "-q"], cwd=tmp_path, env=env, check=True, timeout=100)
    done = subprocess.run([dvc, "repro"], cwd=tmp_path, env=env, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert metrics_of(tmp_path) == wanted


def test_a_parameter_reruns_what_depends_on_it_alone(rich):
    wanted, folder, _ = rich
    run_pipeline(folder)
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("trees: 12", "trees: 3"))
    try:
        done = run_pipeline(folder)
        assert done["prepare"] == "unchanged" and done["train"] == "done", done
        assert metrics_of(folder)["report.json"]["found"] == 6 != wanted["report.json"]["found"]
    finally:
        (folder / "params.yaml").write_text(text)
    run_pipeline(folder)
    assert metrics_of(folder) == wanted


def test_params_are_read_as_they_were_written(rich):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    _, folder, _ = rich
    want = {"seed": 11, "trees": 12, "rate": 1e-05, "shape": [4, 2], "names": ["a", "yes", "1e3"],
            "options": {"max_depth": 3, "min_samples_leaf": 2}, "word": "no: 'ö' \\ \u2028 #"}
    text = (folder / "params.yaml").read_text()
    assert yaml.safe_load(text) == want
    ruamel = pytest.importorskip("ruamel.yaml", reason="ruamel.yaml is not installed")
    assert ruamel.YAML(typ="safe").load(text) == want


SMALL = [("parameters", "n = 3"), ("stage:make", "values = list(range(n))"),
         ("stage:sum metrics", "total = sum(values)")]


def states(answer):
    return {f["path"]: f["state"] for f in answer["files"]}


def test_a_second_import_replaces_what_nobody_touched(tmp_path):
    write(tmp_path, notebook(*SMALL))
    listed = imported(tmp_path, "--dry-run")
    assert listed["written"] is False and set(states(listed).values()) == {"new"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notebook.ipynb"]
    imported(tmp_path)
    assert set(states(imported(tmp_path)).values()) == {"same"}
    write(tmp_path, notebook(*SMALL[:2], ("stage:total metrics", "total = 2 * sum(values)")))
    answer = imported(tmp_path)
    assert states(answer)["stages/make.py"] == "same" and states(answer)["dvc.yaml"] == "updated"
    assert answer["left"] == ["stages/sum.py"]
    (tmp_path / "params.yaml").write_text((tmp_path / "params.yaml").read_text().replace("n: 3", "n: 5"))
    assert states(imported(tmp_path))["params.yaml"] == "kept"      # to be edited is what it is for
    assert "n: 5" in (tmp_path / "params.yaml").read_text()
    write(tmp_path, notebook(("parameters", "n = 3\nmore = 1"), *SMALL[1:2], ("stage:total metrics", "total = 2 * sum(values) + more")))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    refused = flow_import(tmp_path)
    assert refused.returncode == 5 and "params.yaml" in refused.stderr and "--force" in refused.stderr
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert states(imported(tmp_path, "--force"))["params.yaml"] == "changed by hand"
    assert "n: 3" in (tmp_path / "params.yaml").read_text()
    run_pipeline(tmp_path)
    assert metrics_of(tmp_path) == {"metrics/total.json": {"total": 7}}


def test_a_project_of_a_person_is_not_touched(tmp_path):
    write(tmp_path, notebook(*SMALL))
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    assert flow_import(tmp_path).returncode == 5
    assert not (tmp_path / "stages").exists()
    answer = imported(tmp_path, "-o", "elsewhere")
    assert answer["dir"] == "elsewhere"
    run_pipeline(tmp_path / "elsewhere")
    assert metrics_of(tmp_path / "elsewhere") == {"metrics/sum.json": {"total": 3}}


def test_what_papermill_ran_it_with(tmp_path):
    """papermill puts a cell behind the defaults: the values that the notebook was run with count."""
    write(tmp_path, notebook(SMALL[0], ("injected-parameters", "# Parameters\nn = 6"), *SMALL[1:]))
    imported(tmp_path)
    assert "n: 6" in (tmp_path / "params.yaml").read_text()
    run_pipeline(tmp_path)
    assert metrics_of(tmp_path) == {"metrics/sum.json": {"total": 15}}


def test_a_parameter_of_another_form(tmp_path):
    """A person writes 1e-4, which YAML 1.1 takes for a text."""
    write(tmp_path, notebook(("parameters", "rate = 0.5"), ("stage:a metrics", "doubled = rate * 2")))
    imported(tmp_path)
    (tmp_path / "params.yaml").write_text("rate: 1e-4\n")
    run_pipeline(tmp_path)
    assert metrics_of(tmp_path) == {"metrics/a.json": {"doubled": 0.0002}}


def test_modules_and_data_beside_the_notebook(tmp_path):
    (tmp_path / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "numbers.csv").write_text("a\n1\n2\n")
    write(tmp_path, notebook("import helper\nimport pandas as pd", ("stage:a", "t = pd.read_csv('numbers.csv')\nu = pd.read_csv('/etc/x.csv') if 0 else 0"),
                             ("stage:b metrics", "r = int(helper.twice(t['a'].sum()))")))
    answer = imported(tmp_path)
    stages = {s["stage"]: s for s in answer["stages"]}
    assert stages["a"]["deps"] == ["numbers.csv", "stages/a.py"]
    assert "helper.py" in stages["b"]["deps"]
    assert any("/etc/x.csv" in n["text"] and "outside" in n["text"] for n in answer["notices"])
    run_pipeline(tmp_path)
    assert metrics_of(tmp_path) == {"metrics/b.json": {"r": 6}}


def test_what_can_not_be_saved_says_what_to_do(tmp_path):
    write(tmp_path, notebook(("stage:a", "import threading\nlock = threading.Lock()"), ("stage:b metrics", "n = int(lock.locked())")))
    imported(tmp_path)
    done = support.run_gyre("run", cwd=tmp_path, env={"PATH": PATH})
    assert done.returncode != 0 and "`lock` of stage a can not be saved" in done.stderr, done.stderr


def test_a_variable_that_is_only_sometimes_set(tmp_path):
    cells = [("stage:a", "for i in [1]:\n    early = i\nif early > 5:\n    late = 2\n    early = 3\nprint(early)"),
             ("stage:b metrics", "n = early\nif early > 5:\n    n = late")]
    write(tmp_path, notebook(*cells))
    imported(tmp_path)
    run_pipeline(tmp_path)
    assert metrics_of(tmp_path) == {"metrics/b.json": {"n": 1}}


@pytest.mark.parametrize("cells, code, words", [
    ([("stage:a", "x = y")], 3, "cell 1, line 1: stage a reads `y`, which no cell sets"),
    ([("stage:a", "x = y"), ("stage:b", "y = 1")], 3, "further down"),
    ([("skip", "y = 1"), ("stage:a", "x = y")], 3, "which only cell 1 sets, and that is left out"),
    ([("stage:a", "x = 1\n!ls\nx = (")], 3, "cell 1, line 3: not Python"),
    ([("stage:a", "files = !ls")], 3, "answer of a shell"),
    ([("stage:a", "import asyncio\nawait asyncio.sleep(0)")], 3, "cell 1, line 2: not Python"),
    ([("stage:a", "x = 1\x00")], 3, "null bytes"),
    ([("stage:a", "%run other.py")], 3, "%run other.py"),
    ([("stage:a", "%%writefile a.py\nx = 1")], 3, "writes a file"),
    ([("stage:a", "get_ipython().system('ls')")], 3, "get_ipython"),
    ([("stage:a", "open('o.txt', 'w').write('1')"), ("stage:b", "open('o.txt', 'w').write('2')")], 3, "both write o.txt"),
    ([("stage:a", "t = open('o.txt').read()"), ("stage:b", "open('o.txt', 'w').write('2')")], 3, "writes later"),
    ([("stage:a", "x = 1"), ("stage:b", "z = x"), ("stage:a", "x = 3")], 3, "cell 3 comes back to the stage a"),
    ([("stage:a b", "x = 1"), ("stage:../a", "x = 1")], 3, "no name for a stage"),
    ([("stage:a stage:b", "x = 1")], 3, "two stages"),
    ([("gyre:step=a", "x = 1")], 3, "gyre:step=a"),
    ([("stage:a", "x = 1"), ("parameters", "n = 1")], 3, "before the first stage"),
    ([("metrics", "n = 1"), ("stage:a", "x = 1")], 3, "no stage"),
    ([("stage:a metrics", "print(1)")], 3, "sets no variable"),
    (["x = 1"], 3, "no cell of notebook.ipynb has a tag"),
    ([("stage:a", "x = " + "(" * 300 + "1" + ")" * 300)], 3, "too many nested parentheses"),
    ([("stage:a", "x = " + "+".join("1" * 30000))], 3, "nested too deeply"),
    ([("stage:a", "\n".join(["!ls"] * 300))], 3, "lines that are no Python"),
    ([("stage:a", "for i in range(2):\n    def f():\n        pass"), ("stage:b", "f()")], 3, "cell 1, line 2: `f` is defined within a statement"),
])
def test_what_is_refused(tmp_path, cells, code, words):
    write(tmp_path, notebook(*cells))
    done = flow_import(tmp_path)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["notebook.ipynb"]


def test_other_formats_and_languages(tmp_path):
    (tmp_path / "notebook.ipynb").write_text(json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}))
    done = flow_import(tmp_path)
    assert done.returncode == 20 and "nbformat 3" in done.stderr and "nbconvert" in done.stderr
    for language in ("R", "julia"):
        write(tmp_path, notebook(("stage:a", "x <- 1"), language=language))
        done = flow_import(tmp_path)
        assert done.returncode == 20 and f"a notebook of {language}" in done.stderr and "dvc.yaml" in done.stderr
    for text in ("{}", "[]", "{\"nbformat\": 4}", "print(1)", ""):
        (tmp_path / "notebook.ipynb").write_text(text)
        done = flow_import(tmp_path)
        assert done.returncode in (3, 16) and done.stderr, text
    assert flow_import(tmp_path, name="absent.ipynb").returncode == 4


def test_without_python(tmp_path):
    write(tmp_path, notebook(*SMALL))
    done = flow_import(tmp_path, env={"PATH": str(tmp_path)})
    assert done.returncode == 27 and re.search("install Python 3", done.stderr), done.stderr


def test_help_and_notices_for_people(tmp_path):
    assert "stage:NAME" in support.run_gyre("flow", "import", "-h", cwd=tmp_path).stdout
    write(tmp_path, notebook(("stage:a", "%matplotlib inline\nx = 1")))
    done = flow_import(tmp_path)
    assert done.returncode == 0 and "gyre run" in done.stdout and "cell 1: left out: %matplotlib inline" in done.stderr


def test_the_documented_notebook(tmp_path):
    """The cells of docs/notebooks.md, and what is said of them."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    text = (support.ROOT / "docs" / "notebooks.md").read_text().split("```python\n")[1].split("```")[0]
    parts = [part.partition("\n") for part in text.split("# tags: ")[1:]]
    cells = [(tags.replace(",", ""), source) for tags, _, source in parts]
    assert [tags for tags, _ in cells] == ["parameters", "stage:prepare", "stage:train", "stage:evaluate metrics"]
    write(tmp_path, notebook(*cells))
    imported(tmp_path)
    run_pipeline(tmp_path)
    whole = {}
    exec("\n".join(source for _, source in cells), whole)  # noqa: S102: our own documentation
    assert metrics_of(tmp_path) == {"metrics/evaluate.json": {"accuracy": whole["accuracy"]}}
    params = (tmp_path / "params.yaml").read_text()
    assert "seed: 7" in params and "depth: 3" in params
    (tmp_path / "params.yaml").write_text(params.replace("depth: 3", "depth: 1"))
    assert run_pipeline(tmp_path) == {"prepare": "unchanged", "train": "done", "evaluate": "done"}


SETUP = """import random
c = 3
def push(x, n):
    x.append(n % 100)
def bump():
    global c
    c = c + a % 100
def f(x):
    return x + 1
def g(x):
    return f(x) * 2 % 1000
k = lambda x: x
class Box:
    def __init__(self):
        self.n, self.kept, self.call = 0, [], None
    def add(self, k):
        self.kept.append(k + c % 10)
random.seed(a)
v, w, box = [a], [], Box()
seen = []
def out(x):
    seen.append(repr(x))"""


class Author:
    """Makes up notebooks of statements that set, change and read variables, redefine functions and draw random numbers."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def value(self):
        number, items, call = self.r.choice("abc"), self.r.choice("uvw"), self.r.choice("fgk")
        return self.r.choice([str(self.r.randrange(9)), f"{number} + 1", f"len({items})", f"sum({items})", f"{call}({number}) % 1000",
                              f"sum(i * {number} for i in {items}) % 1000", f"(lambda q: q + {number})(3)", "random.randrange(50)"])

    def block(self, head, depth):
        return [head, *("    " + line for line in self.statement(depth + 1))]

    def statement(self, depth=0):
        number, items, value = self.r.choice("abc"), self.r.choice("uvw"), self.value()
        kinds = [[f"{number} = {value}"], [f"{number} += {value}"], [f"{items} = [i for i in range({value} % 7)]"],
                 [f"{items}.append({value})"], [f"push({items}, {value})"], [f"{items}[:0] = [{value}]; {number} = {value}"],
                 [f"{items} = sorted({items})"], ["bump()"], [f"box.n += {value}", f"box.add({value})"], [f"out({value})"],
                 [f"k = lambda x: x * 2 + {value}"], [f"box.call = {self.r.choice(['push', 'len'])}"]]
        if depth == 0:
            kinds.append([f"def {self.r.choice('fg')}(x):", f"    return x + {value} % 50"])
        if depth < 2:
            kinds += [self.block(f"if {value} % 2:", depth), self.block("for i in range(2):", depth),
                      [*self.block("try:", depth), "except ZeroDivisionError:", "    a = 1"]]
        return self.r.choice(kinds)

    def cells(self):
        cells = [("parameters", f"a = {self.r.randrange(9)}\nb = 2\nu = [1, 2]"), SETUP]
        for stage in range(self.r.randrange(2, 5)):
            for part in range(2):
                source = "\n".join(line for _ in range(self.r.randrange(1, 5)) for line in self.statement())
                cells.append((f"stage:s{stage}" if part == 0 else "", source))
        cells.append("import json\nout([a, b, c, u, v, w, box.n, box.kept, box.call is None])\njson.dump(seen, open('seen.json', 'w'))")
        return cells


@pytest.mark.parametrize("seed", range(12))
def test_made_up_notebooks_mean_the_same_in_stages(tmp_path, seed):
    """Cells run one after the other in one Python, as a kernel does, against the stages."""
    cells = Author(seed).cells()
    whole = "\n".join(cell[1] if isinstance(cell, tuple) else cell for cell in cells)
    (tmp_path / "whole").mkdir()
    subprocess.run([sys.executable, "-c", whole], cwd=tmp_path / "whole", check=True, timeout=60)
    write(tmp_path / "stages", notebook(*cells))
    imported(tmp_path / "stages")
    run_pipeline(tmp_path / "stages")
    assert metrics_of(tmp_path / "stages") == metrics_of(tmp_path / "whole"), whole

# SPDX-License-Identifier: Apache-2.0
"""gyre data profile: the numbers against plain sums, the report, and what is pointed at."""

import csv
import gzip
import html.parser
import io
import json
import math
import random
import statistics
import subprocess

import pytest

import support


def profile(cwd, *args, **kwargs):
    return support.run_json("data", "profile", *args, cwd=cwd, **kwargs)


def column(answer, name):
    return next(c for c in answer["columns"] if c["name"] == name)


def r(answer, a, b):
    names = answer["numbers"]
    return answer["correlations"][names.index(a)][names.index(b)]


def kinds(answer):
    return {(m["kind"], m["column"]) for m in answer["remarks"]}


def plain(path, name):
    """The numbers of a column, None where there is none, by Python's own reader."""
    with open(path, newline="") as f:
        return [None if row[name] in ("", "NaN", "?", "nan") else float(row[name]) for row in csv.DictReader(f)]


@pytest.mark.parametrize("name,numbers", [
    ("sepsis_vitals.csv", ["HR", "O2Sat", "Temp", "SBP", "MAP", "DBP", "Resp", "EtCO2", "isSepsis"]),
    ("auto_mpg.csv", ["mpg", "dpl", "hp", "wght", "acc", "year"])])
def test_numbers_of_real_files_are_those_of_plain_sums(data_dir, tmp_path, name, numbers):
    path = data_dir / name
    answer = profile(tmp_path, path)
    assert answer["format"] == "gyre.statistics/1"
    for n in numbers:
        values = plain(path, n)
        there = sorted(v for v in values if v is not None)
        c = column(answer, n)
        assert (c["count"], c["missing"], c["invalid"]) == (len(there), len(values) - len(there), 0), n
        assert c["mean"] == pytest.approx(statistics.fmean(there), rel=1e-12)
        assert c["sd"] == pytest.approx(statistics.stdev(there), rel=1e-10)
        assert (c["min"], c["max"], c["distinct"]) == (there[0], there[-1], len(set(there)))
        assert sum(c["bins"]) == len(there)
        deciles = statistics.quantiles(there, n=10, method="inclusive")
        assert c["quantiles"][1:-1] == pytest.approx(deciles, rel=1e-12)
        assert c["zeros"] == sum(v == 0 for v in there)


def test_the_known_correlations_of_the_reference_systems(data_dir, tmp_path):
    sepsis = profile(tmp_path, data_dir / "sepsis_vitals.csv", "--label", "isSepsis")
    assert [round(r(sepsis, n, "isSepsis"), 3) for n in ("Resp", "HR", "Temp")] == [0.513, 0.418, 0.138]
    assert column(sepsis, "EtCO2")["missing"] == 34689
    assert {("missing", "EtCO2"), ("missing", "DBP"), ("empty", "record_date")} <= kinds(sepsis)
    cars = profile(tmp_path, data_dir / "auto_mpg.csv")
    assert round(r(cars, "mpg", "wght"), 2) == -0.83
    assert column(cars, "hp")["missing"] == 5
    assert column(cars, "name")["top"][0] == ["ford pinto", 6]


def table(path, rows, lines):
    path.write_text("\n".join([rows, *lines]) + "\n")
    return path


def test_remarks(tmp_path):
    rng = random.Random(3)
    lines = []
    for i in range(400):
        y = int(rng.random() < 0.03)
        x = rng.gauss(0, 1)
        lines.append(f"{i * 7 % 400},{x},{2 * x + rng.gauss(0, .01)},{y * 5 + 1},same,{'' if i % 2 else 3},u{rng.randrange(10**9)},{y}")
    lines += [lines[0], "1,2", "abc,1,1,1,same,3,u1,0"]
    path = table(tmp_path / "t.csv", "key,a,b,leak,const,gaps,text,y", lines)
    (tmp_path / "schema.yaml").write_text(
        "columns:\n" + "".join(f"  - {{name: {n}, type: {t}}}\n" for n, t in [
            ("key", "int"), ("a", "float"), ("b", "float"), ("leak", "int"), ("const", "string"), ("gaps", "int"),
            ("text", "string")]) + "  - {name: y, type: int, role: label}\n")
    answer = profile(tmp_path, path)
    assert kinds(answer) == {("leak", "leak"), ("broken", None), ("duplicates", None), ("invalid", "key"), ("constant", "const"),
                             ("constant", "gaps"), ("missing", "gaps"), ("imbalance", "y"), ("many_values", "text"), ("correlated", "a")}
    assert (answer["rows"], answer["broken"], answer["distinct_rows"]) == (403, 1, 401)
    people = support.run_gyre("data", "profile", path, cwd=tmp_path).stdout
    assert "! leak: as good as says the label 'y' (r = 1.0000)" in people and "403 rows, 8 columns" in people


class Page(html.parser.HTMLParser):
    """Counts elements and finds what would be fetched or run."""

    def __init__(self):
        super().__init__()
        self.tags, self.open, self.bad, self.text = {}, [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.bad += [a for a in attrs if a[0] in ("src", "href", "onload", "onerror") or "url(" in (a[1] or "")]

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_is_one_file_with_everything_escaped(tmp_path):
    nasty = "<script>alert('x')</script>&\""
    rng = random.Random(4)
    buf = io.StringIO()
    w = csv.writer(buf)
    w.writerow([nasty, "n", "m", "y"])
    for i in range(300):
        w.writerow([nasty if i % 3 else "plain", rng.gauss(0, 1), "" if i % 4 else rng.random(), i % 2])
    (tmp_path / "t.csv").write_text(buf.getvalue())
    said = support.run_gyre("data", "profile", "t.csv", "--label", "y", "-o", "out/r.html", cwd=tmp_path)
    assert said.returncode == 0 and "report: out/r.html" in said.stdout
    text = (tmp_path / "out" / "r.html").read_text()
    page = Page()
    page.feed(text)
    assert not page.open and not page.bad and "script" not in page.tags and "link" not in page.tags
    assert page.tags["svg"] >= 6 and "http" not in text.replace("http-equiv", "")
    words = "".join(page.text)
    assert "<script>" in words and "Correlations" in words and "Missing values" in words and "Label" in words


def test_two_tables_side_by_side(tmp_path):
    rng = random.Random(5)
    for name, shift in (("a.csv", 0), ("b.csv", 1.5)):
        table(tmp_path / name, "x,same,color", [f"{rng.gauss(shift, 1)},{rng.random()},{rng.choice('rgb' if shift else 'rgg')}"
                                               for _ in range(4000)])
    answer = profile(tmp_path, "a.csv", "--against", "b.csv", "-o", "r.html")
    far = answer["jensen_shannon"]
    assert far["x"] > 0.2 and far["same"] < 0.02 and 0.1 < far["color"] < 0.4
    assert answer["against"]["rows"] == 4000
    assert "beside b.csv" in (tmp_path / "r.html").read_text()
    assert profile(tmp_path, "a.csv", "--against", "a.csv")["jensen_shannon"]["x"] == 0


def test_formats_packing_and_threads_do_not_matter(tmp_path):
    rng = random.Random(6)
    rows = [{"id": i, "x": round(rng.gauss(0, 1), 4), "w": rng.choice(["a", "b,c", 'd"e', "f\ng"])} for i in range(150000)]
    buf = io.StringIO()
    w = csv.DictWriter(buf, ["id", "x", "w"])
    w.writeheader()
    w.writerows(rows)
    (tmp_path / "t.csv").write_text(buf.getvalue())
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(buf.getvalue().encode(), 1))
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    one = support.run_gyre("data", "profile", "t.csv", "--threads", "1", "--json", cwd=tmp_path).stdout
    for args in (("t.csv", "--threads", "2"), ("t.csv", "--threads", "5"), ("t.csv.gz",)):
        assert support.run_gyre("data", "profile", *args, "--json", cwd=tmp_path).stdout == one, args
    with open(tmp_path / "t.csv") as f:
        piped = subprocess.run([support.BIN, "data", "profile", "-", "--json"], stdin=f, cwd=tmp_path, env=support.clean_env(),
                               capture_output=True, text=True, check=True).stdout
    assert piped == one
    lines = profile(tmp_path, "t.jsonl")
    for a, b in zip(json.loads(one)["columns"], lines["columns"], strict=True):
        assert {k: a[k] for k in ("name", "type", "count", "distinct", "top")} == {k: b[k] for k in ("name", "type", "count", "distinct", "top")}
        assert a.get("mean") == b.get("mean") or math.isclose(a["mean"], b["mean"], rel_tol=1e-12)


def test_a_dataset_has_its_own_schema(tmp_path):
    table(tmp_path / "t.csv", "x,y", [f"{i},{i % 2}" for i in range(60)])
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: x, type: float}\n  - {name: y, type: int, values: [0, 1], role: label}\n")
    support.run_json("data", "ingest", "t.csv", "--schema", "schema.yaml", "--name", "t", cwd=tmp_path)
    (tmp_path / "schema.yaml").unlink()
    answer = profile(tmp_path, "t@1")
    assert column(answer, "x")["type"] == "float" and column(answer, "y")["role"] == "label"
    assert not list((tmp_path / ".gyre" / "cache").glob("*.csv"))  # the copy is gone


@pytest.mark.parametrize("args,code,words", [
    (("nowhere.csv",), 4, "nowhere.csv"), (("t.csv", "--label", "no"), 4, "no column 'no'"), (("t.csv", "--threads", "99"), 2, "--threads"),
    (("t.csv", "-o", "/proc/no/r.html"), None, "/proc/no"), (("nods@1",), 4, "nods")])
def test_refusals(tmp_path, args, code, words):
    table(tmp_path / "t.csv", "x", ["1"])
    done = support.run_gyre("data", "profile", *args, cwd=tmp_path)
    assert done.returncode == code if code else done.returncode != 0
    assert words in done.stderr

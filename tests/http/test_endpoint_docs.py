# SPDX-License-Identifier: Apache-2.0
"""The page and OpenAPI document of an endpoint, and `gyre endpoint test`."""

import ast
import json
import re
import subprocess

import pytest

import serving
import support
from serving import must, request


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    s = support.Server(tmp_path_factory.mktemp("docs") / "home").start()
    serving.serve(s)
    yield s
    s.stop()


def test_the_page(home):
    status, page, headers = request(home, "GET", "/docs/endpoints/sepsis")
    page = page.decode()
    assert status == 200 and headers["Content-Type"].startswith("text/html") and "default-src 'none'" in headers["Content-Security-Policy"]
    for text in ("HR", "60 to 250", "SIRS: 2 or more of 4", "/predictions", "/v2/models/sepsis/infer", "Report a problem", "urllib.request"):
        assert text in page, text
    assert not re.search(r"""(src|href)=["']https?://""", page)  # nothing from elsewhere
    assert request(home, "GET", "/docs/endpoints/nobody")[0] == 404


def blocks(home):
    page = request(home, "GET", "/docs/endpoints/sepsis")[1].decode()
    for title, text in re.findall(r"<h3>([^<]*)</h3><div class=\"box\"><pre[^>]*>(.*?)</pre>", page, re.S):
        for a, b in (("&quot;", '"'), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            text = text.replace(a, b)
        yield title, text


def test_its_requests_work_as_they_stand(home):
    seen = dict(blocks(home))
    assert "tritonclient" in seen.pop("Open Inference Protocol (gRPC, Python)")  # tests/interop/serving/test_grpc.py runs it
    wanted = {"KServe V1 (curl)": {"predictions"}, "MLflow scoring (curl)": {"predictions"}, "Seldon (curl)": {"data", "meta", "status"},
              "Open Inference Protocol (curl)": {"model_name", "model_version", "parameters", "outputs"},
              "Open Inference Protocol (Python)": {"model_name", "model_version", "parameters", "outputs"},
              "Its own route (curl)": {"isSepsis", "prediction_id"}, "Its own route (Python)": {"isSepsis", "prediction_id"}}
    assert set(seen) == set(wanted)
    for title, text in seen.items():
        tool = ["sh", "-c", text + " -sS"] if "curl" in title else ["python3", "-c", text]
        done = subprocess.run(tool, capture_output=True, text=True, timeout=60)
        if "curl" in title and done.returncode == 127:
            continue  # no curl here; the same request is made by Python below
        assert done.returncode == 0, (title, done.stdout, done.stderr)
        answer = json.loads(done.stdout) if "curl" in title else ast.literal_eval(done.stdout)
        assert wanted[title] <= set(answer) and not any("error" in key for key in answer), (title, answer)
    page = request(home, "GET", "/docs/endpoints/sepsis")[1].decode()
    assert page.count("It answers") == 5 and "prediction (INT64)" in page


def test_the_document(home):
    document = must(home, "GET", "/docs/endpoints/sepsis/openapi.json")
    assert document["openapi"] == "3.1.0" and set(document["paths"]) == {"/v2/models/sepsis/infer", "/predictions"}
    row = document["components"]["schemas"]["Row"]
    assert row["required"] == ["HR", "Resp", "Temp"] and row["properties"]["HR"]["x-gyre-max"] == 250
    assert row["properties"]["Resp"]["type"] == ["number", "null"] and "WBC" in row["properties"]
    flat = document["paths"]["/predictions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(flat["properties"]) == {"hr", "resp", "temp", "WBC"}


def gyre(home, *args):
    return support.run_gyre("endpoint", "test", *args, "--server", home.url, cwd=home.home)


@pytest.mark.parametrize("count", [10, 50])
def test_real_predictions(home, count):
    done = gyre(home, "sepsis", "--count", str(count), "--concurrency", "3", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["requests"] == count and told["failed"] == 0 and told["failures"] == []
    assert told["versions"] == [{"version": "1", "count": count}]
    assert 0 < told["p50_ms"] <= told["p90_ms"] <= told["p99_ms"] <= told["max_ms"]
    assert "answered, 0 failed" in gyre(home, "sepsis", "--count", "3").stdout


def test_rows_of_a_file(home, tmp_path):
    (tmp_path / "p.csv").write_text("HR,Resp,Temp,ward\n104,22,38.9,a\n80,,37,b\nfast,15,37,c\n")
    done = gyre(home, "sepsis", "--file", str(tmp_path / "p.csv"), "--count", "6", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["failed"] == 2 and told["requests"] == 6
    assert told["failures"][0]["count"] == 2
    (tmp_path / "q.csv").write_text("Resp\n1\n")
    done = gyre(home, "sepsis", "--file", str(tmp_path / "q.csv"))
    assert done.returncode != 0 and "no column 'HR'" in done.stderr


def test_a_rate_is_kept(home):
    told = json.loads(gyre(home, "sepsis", "--count", "20", "--rate", "40", "--concurrency", "4", "--json").stdout)
    assert told["failed"] == 0 and 0.45 <= told["seconds"] < 5


def test_what_is_refused(home):
    for args, code in ((["--count", "-1"], 2), (["--count", "5", "--concurrency", "0"], 2), (["--count", "5", "--rate", "-1"], 2)):
        assert gyre(home, "sepsis", *args).returncode == code
    done = gyre(home, "nobody", "--count", "5")
    assert done.returncode != 0 and "no endpoint 'nobody' is served" in done.stderr

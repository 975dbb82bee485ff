# SPDX-License-Identifier: Apache-2.0
"""How much may be asked of an endpoint: rates of callers, requests at a time, deadlines, and what the metrics then say."""

import concurrent.futures
import json
import re
import shutil
import subprocess
import time

import pytest
import serving
from serving import must, request

pytestmark = pytest.mark.tsan

WELL = {"hr": 70, "resp": 15, "temp": 37}
ROWS = json.dumps(serving.v2([[70, 15, 37]] * 20000))  # more than a loop answers by itself


def served(new_server, limits, args=()):
    server = new_server(list(args))
    serving.register(server)
    serving.deploy(server, "models:/sepsis/1", project={"aliases": [serving.ALIAS], "limits": limits})
    return server


def metric(server, line):
    text = request(server, "GET", "/metrics")[1].decode()
    found = re.search("^" + re.escape(line) + " (.*)$", text, re.M)
    return float(found.group(1)) if found else None


def flood(server, path, body, n, headers=None):
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: request(server, "POST", path, body, headers), range(n)))


def test_rate(new_server):
    server = served(new_server, {"rate": 0.2, "burst": 3})
    answers = [request(server, "POST", "/predictions", WELL) for _ in range(5)]
    assert [a[0] for a in answers] == [200, 200, 200, 429, 429]
    status, body, headers = answers[3]
    assert re.fullmatch(r"more than 0.2 requests a second \(3 at once\): try again in [0-9.]+ s", body["error"])
    assert 1 <= int(headers["Retry-After"]) <= 5
    assert request(server, "POST", "/v2/models/sepsis/infer", serving.v2([[70, 15, 37]]))[0] == 429  # whatever the protocol
    # Somebody else, over the socket, has a rate of his own.
    assert serving.by_socket(server, "POST", "/predictions", WELL)[0] == 200
    label = '{endpoint="sepsis",version="1"}'
    assert metric(server, "gyre_inference_limited_total" + label) == 3
    assert metric(server, 'nv_inference_request_failure{model="sepsis",version="1",reason="REJECTED"}') == 3
    assert metric(server, "gyre_inference_shed_total" + label) == 0


def test_rate_comes_back(new_server):
    server = served(new_server, {"rate": 50, "burst": 1, "by": "endpoint"})
    assert request(server, "POST", "/predictions", WELL)[0] == 200
    begin, ok = time.monotonic(), 0
    while ok < 10:
        status, body, headers = request(server, "POST", "/predictions", WELL)
        ok += status == 200
        assert status in (200, 429)
    assert time.monotonic() - begin > 0.18  # ten more at 50 a second


def test_at_a_time(new_server):
    server = served(new_server, {"concurrent": 1})
    answers = flood(server, "/v2/models/sepsis/infer", ROWS, 12) + flood(server, "/v2/models/sepsis/infer", ROWS, 12)
    codes = {a[0] for a in answers}
    assert codes == {200, 429}, codes
    refused = [a for a in answers if a[0] == 429][0]
    assert refused[1] == {"error": "1 requests are being answered already, the most at a time"} and "Retry-After" in refused[2]
    assert request(server, "POST", "/v2/models/sepsis/infer", ROWS)[0] == 200  # nobody was left inside


def test_deadline(new_server):
    server = served(new_server, {"deadline_ms": 0.5})
    for _ in range(3):
        answers = flood(server, "/v2/models/sepsis/infer", ROWS, 16)
    codes = [a[0] for a in answers]
    assert set(codes) <= {200, 503, 504} and set(codes) & {503, 504}, codes
    for status, body, headers in answers:
        if status == 503:
            assert "would not begin within its 0.0005 s" in body["error"] and int(headers["Retry-After"]) >= 1
        if status == 504:
            assert "longer than its 0.0005 s" in body["error"]
    assert request(server, "POST", "/predictions", WELL)[0] == 200  # answered at once, it waits for nobody
    assert metric(server, 'gyre_inference_shed_total{endpoint="sepsis",version="1"}') > 0


def test_the_clients_deadline(new_server):
    server = served(new_server, {})
    status, body, _ = request(server, "POST", "/v2/models/sepsis/infer", ROWS, {"Gyre-Timeout": "soon"})
    assert (status, body["error"]) == (400, "Gyre-Timeout must be a time like 250ms or 2s, at most 600s")
    assert request(server, "POST", "/v2/models/sepsis/infer", ROWS, {"Gyre-Timeout": "60s"})[0] == 200
    codes = {a[0] for _ in range(3) for a in flood(server, "/v2/models/sepsis/infer", ROWS, 16, {"Gyre-Timeout": "1ms"})}
    assert codes & {503, 504} and codes <= {200, 503, 504}


def test_wrong_section(new_server):
    server = new_server()
    serving.register(server)
    status, answer = serving.ask_anyhow(server, "POST", f"{serving.API}/endpoints/sepsis/deploy",
                                        {"model": "models:/sepsis/1", "project": {"limits": {"rate": -1}}})
    assert status == 400 and "limits: 'rate' must be a number from 0.001" in answer["detail"]


def test_a_canary_may_change_them(new_server):
    server = served(new_server, {"rate": 1000})
    serving.register(server, files=serving.package(-8))
    body = {"model": "models:/sepsis/2", "canary": 0.5, "project": {"aliases": [serving.ALIAS], "limits": {"rate": 0.001, "burst": 1}}}
    assert must(server, "POST", f"{serving.API}/endpoints/sepsis/deploy", {**body, "columns": ["WBC"]})["config"]["limits"]["burst"] == 1
    assert [request(server, "POST", "/predictions", WELL)[0] for _ in range(2)] == [200, 429]


def test_trace_context(new_server):
    server = served(new_server, {})
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    one = request(server, "POST", "/predictions", WELL, headers)[1]["prediction_id"]
    two = request(server, "POST", "/v2/models/sepsis/infer", ROWS, headers)[1]["parameters"]["prediction_id"]
    none = request(server, "POST", "/predictions", WELL, {"traceparent": "00-zz"})[1]["prediction_id"]
    for prediction, want in [(one, trace), (two, trace), (none, None)]:
        told = json.dumps(must(server, "GET", f"{serving.API}/trace/{prediction}"))
        assert (f'"{trace}"' in told) == (want is not None), told[:500]


def test_peers_names(new_server):
    server = served(new_server, {})
    assert request(server, "POST", "/predictions", WELL)[0] == 200
    assert request(server, "POST", "/v2/models/sepsis/infer", ROWS)[0] == 200
    assert request(server, "POST", "/predictions", {})[0] == 400
    model = '{model="sepsis",version="1"}'
    assert metric(server, "nv_inference_request_success" + model) == 2
    assert metric(server, "nv_inference_count" + model) == 20001
    assert metric(server, "nv_inference_queue_duration_us" + model) > 0
    assert metric(server, "nv_inference_request_duration_us" + model) > metric(server, "nv_inference_compute_infer_duration_us" + model) > 0
    seldon = ('{deployment_name="sepsis",predictor_name="sepsis",predictor_version="1",model_name="sepsis",model_version="1",'
              'service="predictions",method="post",code="%s"')
    name = "seldon_api_executor_server_requests_seconds"
    assert metric(server, f"{name}_count{seldon % 200}}}") == 2 and metric(server, f"{name}_count{seldon % 400}}}") == 1
    assert metric(server, f'{name}_bucket{seldon % 200},le="+Inf"}}') == 2
    assert metric(server, 'request_predict_seconds_count{model_name="sepsis"}') == 2
    assert metric(server, "model_infer_request_success_total" + model) == 2
    assert metric(server, "model_infer_request_failure_total" + model) == 1
    assert metric(server, "gyre_host_memory_bytes") > metric(server, "gyre_host_memory_available_bytes") > 0
    assert metric(server, 'gyre_host_cpu_seconds_total{mode="user"}') > 0


NVML = """
typedef struct { unsigned gpu, memory; } use;
typedef struct { unsigned long long total, free, used; } mem;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = (void *)(1ul + i); return 0; }
int nvmlDeviceGetUUID(void *d, char *t, unsigned n) { const char *s = d == (void *)1 ? "GPU-a" : "GPU-b"; while (n-- && (*t++ = *s++)); return 0; }
int nvmlDeviceGetUtilizationRates(void *d, use *u) { u->gpu = 37; return 0; }
int nvmlDeviceGetMemoryInfo(void *d, mem *m) { m->total = 1000; m->used = 250; return 0; }
int nvmlDeviceGetPowerUsage(void *d, unsigned *mw) { *mw = 61500; return d == (void *)1 ? 0 : 3; }
"""


def test_gpus(new_server, tmp_path, monkeypatch):
    """NVML's calls as its documentation has them, from a library made here: this machine may have no GPU."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    (tmp_path / "nvml.c").write_text(NVML)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libnvidia-ml.so.1", tmp_path / "nvml.c"], check=True)
    monkeypatch.setenv("GYRE_LIBDIR", str(tmp_path))
    server = new_server()
    assert metric(server, 'nv_gpu_utilization{gpu_uuid="GPU-a"}') == 0.37
    assert metric(server, 'nv_gpu_memory_total_bytes{gpu_uuid="GPU-b"}') == 1000
    assert metric(server, 'nv_gpu_memory_used_bytes{gpu_uuid="GPU-a"}') == 250
    assert metric(server, 'nv_gpu_power_usage{gpu_uuid="GPU-a"}') == 61.5
    assert metric(server, 'nv_gpu_power_usage{gpu_uuid="GPU-b"}') is None  # it does not tell


def test_promtool(new_server):
    if not shutil.which("promtool"):
        pytest.skip("no promtool (Debian: prometheus)")
    server = served(new_server, {"rate": 1000})
    for body in (WELL, {}):
        request(server, "POST", "/predictions", body)
    done = subprocess.run(["promtool", "check", "metrics"], input=request(server, "GET", "/metrics")[1], capture_output=True)
    # Names of others are not ours to mend: what promtool says of style is about them alone.
    said = [line for line in done.stderr.decode().splitlines() if line.split(" ")[0].startswith(("gyre_", "process_")) or "error" in line]
    assert done.returncode in (0, 3) and not said, done.stderr.decode()


def test_idle_connections(new_server):
    """Thousands of connections that ask nothing cost no one else a refusal."""
    import socket
    server = served(new_server, {}, ["--max-connections", "3000"])
    idle = []
    try:
        for _ in range(2500):
            s = socket.create_connection(("127.0.0.1", server.port))
            idle.append(s)
        for _ in range(50):
            assert request(server, "POST", "/predictions", WELL)[0] == 200
        assert metric(server, "gyre_http_connections") > 2500
    finally:
        for s in idle:
            s.close()

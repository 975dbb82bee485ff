# SPDX-License-Identifier: Apache-2.0
"""schemathesis asks a running server whatever oip.yaml allows, and what it does not, and compares each answer with it."""

import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "negative_data_rejection"]


@pytest.mark.timeout(400)
def test_no_answer_violates_the_protocol(served, tmp_path):
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(HERE / "oip.yaml"), "--url", served.url, "--max-examples", "25",
               "--seed", "7", "--workers", "1", "--suppress-health-check", "all", "--checks", ",".join(CHECKS), "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Operations" in done.stdout or "passed" in done.stdout.lower(), done.stdout[-2000:]

# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a process that writes to the store from 8 threads: what it acknowledged is there, whole, and nothing by half.

4 rounds on one database; 20 with GYRE_LONG=1.
"""

import json
import os
import random
import subprocess
import time

import pytest

import support

PROGRAM = support.BIN.parent / "tests" / "support" / "store_ledger"
ROUNDS = 20 if os.environ.get("GYRE_LONG") == "1" else 4
THREADS = 8


def check(db, ledger):
    done = subprocess.run([PROGRAM, "check", db, ledger], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def test_acknowledged_closures_survive_kill_9(tmp_path, record_property):
    if not PROGRAM.exists():
        pytest.skip("store_ledger is not built beside the program")
    db, ledger = tmp_path / "gyre.db", tmp_path / "ledger"
    chance = random.Random(int.from_bytes(os.urandom(4), "big"))
    before = 0
    for number in range(1, ROUNDS + 1):
        process = subprocess.Popen([PROGRAM, "write", db, ledger, str(THREADS)], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.05, 2.0))       # the moment of the crash is what is random here
        assert process.poll() is None, "it ended by itself"
        process.kill()
        process.wait()
        process.stdout.close()
        found = check(db, ledger)
        assert found["acknowledged"] > before, "the round wrote nothing"
        # Equal, but for what each thread had in flight when its process died, in each round so far.
        assert found["rows"] - found["acknowledged"] <= THREADS * number
        before = found["acknowledged"]
    record_property("acknowledged", before)
    print(f"{ROUNDS} rounds, {before} acknowledged, {found['rows']} found")

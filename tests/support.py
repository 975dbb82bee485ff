# SPDX-License-Identifier: Apache-2.0
"""What the black-box tests share: the program under test, a server of one's own, data folders.

Environment: GYRE_BIN the program (default build/gyre); GYRE_TEST_DATA the folder of real data sets (default
../shared/data beside the repository; absent means a counted skip).
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("GYRE_BIN") or ROOT / "build" / "gyre").resolve()
DATA = pathlib.Path(os.environ.get("GYRE_TEST_DATA") or ROOT / ".." / "shared" / "data").resolve()

# Sanitizer builds are several times slower; a wait is a bound on failure, never a measure.
READY_S = 60
STOP_S = 60


def clean_env(extra=None):
    """The environment of a child: ours without anything that would point gyre at another home or server."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GYRE_") or k == "GYRE_LIBDIR"}
    env["NO_COLOR"] = "1"
    env.update(extra or {})
    return env


# What `--store=postgres` sets (conftest.py): each home then has a database of its own in this server.
POSTGRES = None
_databases = {}


def store_env(home):
    """The environment that names the store of a home: empty where it is the home's own SQLite."""
    if POSTGRES is None:
        return {}
    key = str(pathlib.Path(home).resolve())
    if key not in _databases:
        _databases[key] = POSTGRES.url()
    return {"GYRE_STORE_URL": _databases[key]}


def run_gyre(*args, cwd, env=None, stdin="", timeout=100):
    """Run `gyre ARGS` to its end; the result has returncode, stdout, stderr (text)."""
    words = list(map(str, args))
    home = words[words.index("--home") + 1] if "--home" in words else (env or {}).get("GYRE_HOME", pathlib.Path(cwd) / ".gyre")
    return subprocess.run([str(BIN), *words], cwd=cwd, env=clean_env({**store_env(home), **(env or {})}), input=stdin,
                          capture_output=True, text=True, timeout=timeout, check=False)


def run_json(*args, **kwargs):
    """Run `gyre ARGS --json`, require success, give its parsed answer."""
    done = run_gyre(*args, "--json", **kwargs)
    assert done.returncode == 0, f"gyre {args}: exit {done.returncode}\n{done.stderr}\n{done.stdout}"
    return json.loads(done.stdout)


class Server:
    """A `gyre server` on a free loopback port with its own home folder. One owner; stop() or kill() ends it."""

    def __init__(self, home, args=(), env=None, verb=("server",)):
        self.home = pathlib.Path(home)
        self.args = list(map(str, args))
        self.env = env
        self.verb = list(verb)
        self.log = self.home.parent / f"{self.home.name}.server.log"
        self.process = None
        self.url = None

    def start(self):
        self.home.mkdir(parents=True, exist_ok=True)
        offset = self.log.stat().st_size if self.log.exists() else 0
        command = [str(BIN), *self.verb, "--host", "127.0.0.1", "--port", "0", "--home", str(self.home), *self.args]
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(command, cwd=self.home.parent,
                                            env=clean_env({**store_env(self.home), **(self.env or {})}),
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            text = self.log.read_bytes()[offset:].decode("utf-8", "replace")
            found = re.search(r"https?://127\.0\.0\.1:(\d+)", text)
            if found:
                self.url = f"http://127.0.0.1:{found.group(1)}"
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        code = self.process.poll()
        self.kill()
        raise AssertionError(f"the server printed no address (exit {code}):\n{self.text()[-4000:]}")

    @property
    def pid(self):
        return self.process.pid

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def text(self):
        """All it printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def rss_kb(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=STOP_S):
        return self.process.wait(timeout)

    def stop(self):
        """SIGTERM, drain; a server that does not end in time or not with 0 is a failed test."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired as late:
            self.kill()
            raise AssertionError(f"the server did not stop in {STOP_S} s:\n{self.text()[-4000:]}") from late
        self.process = None
        assert code == 0, f"the server ended with {code}:\n{self.text()[-4000:]}"

    def kill(self):
        """kill -9, as a crash would."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.process = None

    def clean(self):
        """Remove the rings of the prediction log that a killed server left in shared memory (docs/formats.md)."""
        try:
            log = os.stat(self.home / "log")
        except FileNotFoundError:
            return
        key = (log.st_ino ^ log.st_dev << 44) & (1 << 64) - 1
        for ring in pathlib.Path("/dev/shm").glob(f"gyre-{key:016x}-*.ring"):
            ring.unlink(missing_ok=True)


def sanitized():
    """Is the program under test built with a sanitizer, which keeps what was freed, and is slow?"""
    program = BIN.read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def duckdb_missing():
    """Why SQL can not be asked here; None when it can."""
    found = (ROOT / ".deps" / "lib" / "libduckdb.so").exists()
    return None if found else "no DuckDB: deps/duckdb.sh was not run"


def vega_datasets_missing():
    """Why the tables of the package vega-datasets are not here; None when they are."""
    why = subprocess.run([ROOT / "deps" / "vega-datasets.sh", "--why"], capture_output=True, text=True, check=False)
    return f"no vega-datasets: {why.stdout.strip()}" if why.returncode == 0 else None

# SPDX-License-Identifier: Apache-2.0
"""setup.sh against scripted apt-get, dpkg-query and friends: what it asks for, and the one line it says when that fails."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COREUTILS = ["awk", "bash", "cat", "comm", "cut", "date", "dirname", "env", "grep", "head", "id", "mkdir", "rm", "sed", "sha256sum",
             "sort", "sh", "wc"]


class Box:
    """A copy of the scripts and a PATH of its own; scripted tools write their arguments to `calls`."""

    def __init__(self, folder):
        self.tree, self.bin, self.calls_file = folder / "gyre", folder / "bin", folder / "calls"
        (self.tree / "deps").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / "setup.sh", self.tree)
        shutil.copy(ROOT / "deps/packages", self.tree / "deps")
        for tool in COREUTILS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.installed("")
        self.tool("apt-get", "exit 0")
        self.tool("meson", "mkdir -p build; : >build/build.ninja")
        self.tool("ninja", "exit 0")
        self.script(self.tree / "deps/fetch.sh", 'mkdir -p .deps; echo 200 >.deps/.kilobytes; echo x >.deps/.stamp')

    def script(self, path, text):
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def tool(self, name, text):
        self.script(self.bin / name, f'echo "{name} $*" >>{self.calls_file}\n{text}')

    def installed(self, script):
        """`script` prints what dpkg-query would; its arguments are the packages asked for."""
        self.script(self.bin / "dpkg-query", f"shift 3\n{script}\ntrue")

    def all_installed(self):
        self.installed('for p; do echo "installed $p"; done')

    def run(self, *args):
        return subprocess.run([self.bin / "bash", self.tree / "setup.sh", *args], env={"PATH": str(self.bin), "HOME": "/"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)

    def calls(self):
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def box(tmp_path):
    one = Box(tmp_path)
    if os.getuid() != 0:
        one.tool("sudo", '"$@"')
    return one


def last_line(done):
    return done.stderr.strip().splitlines()[-1]


def test_installs_only_what_is_missing(box):
    box.installed('for p; do [ "$p" = gcc ] || [ "$p" = meson ] || echo "installed $p"; done')
    done = box.run()
    assert done.returncode == 0, done.stderr
    installs = [c for c in box.calls() if " install " in c]
    assert installs == ["apt-get -q -y --no-install-recommends install gcc meson"]
    assert (box.tree / ".setup/installed-packages").read_text() == "gcc\nmeson\n"
    assert "0.2 MB fetched" in done.stderr and "minutes" in done.stderr


def test_a_removed_package_counts_as_missing(box):
    box.installed('for p; do if [ "$p" = gcc ]; then echo "config-files $p"; else echo "installed $p"; fi; done')
    assert box.run().returncode == 0
    assert "apt-get -q -y --no-install-recommends install gcc" in box.calls()


def test_the_second_run_asks_nobody(box):
    box.all_installed()
    assert box.run().returncode == 0
    box.calls_file.unlink()
    done = box.run()
    assert done.returncode == 0
    assert box.calls() == ["ninja -C build"]
    assert "0.0 MB fetched" in done.stderr


def test_an_unknown_package_is_named(box):
    box.tool("apt-get", 'case "$*" in *install*) echo "E: Unable to locate package libuv1-dev"; exit 100;; esac')
    done = box.run()
    assert done.returncode == 1
    assert last_line(done) == "setup: the Debian package 'libuv1-dev' is not in this system's package lists"


def test_stale_lists_are_read_again_once(box):
    box.tool("apt-get", 'case "$*" in *update*) : >fresh;; *install*) [ -e fresh ] || exit 100;; esac')
    assert box.run().returncode == 0
    kinds = [c.split()[-1] if c.endswith("update") else "install" for c in box.calls() if c.startswith("apt-get")]
    assert kinds in (["install", "update", "install"], ["update", "install"])


def test_a_silent_mirror_is_named_without_its_address(box):
    box.tool("apt-get", 'echo "E: Failed to fetch http://mirror.example/debian"; exit 100')
    done = box.run()
    assert done.returncode == 1
    assert "the Debian package mirror did not answer" in last_line(done)
    assert "mirror.example" not in done.stderr


def test_neither_root_nor_sudo(box):
    box.script(box.bin / "no-id", "echo 1000")
    (box.bin / "id").unlink()
    (box.bin / "no-id").rename(box.bin / "id")
    (box.bin / "sudo").unlink(missing_ok=True)
    done = box.run()
    assert done.returncode == 1
    assert "needs root or the tool 'sudo'" in last_line(done) and " gcc " in last_line(done)
    assert box.calls() == []


def test_another_system_is_refused(box):
    (box.bin / "apt-get").unlink()
    done = box.run()
    assert done.returncode == 1
    assert last_line(done) == "setup: the tool 'apt-get' is missing: this script is for Debian 12"


def test_a_failed_build_names_the_error(box):
    box.all_installed()
    box.tool("ninja", "echo 'src/a.c:3:1: error: expected ;'; exit 1")
    done = box.run()
    assert done.returncode == 1
    assert "src/a.c:3:1: error: expected ;" in last_line(done)


@pytest.mark.parametrize("given,expected", [
    ([], "demo sepsis"), (["sepsis", "--exit"], "demo sepsis --exit"), (["--exit", "--json"], "demo sepsis --exit --json"),
    (["fuel", "--data", "a b.csv"], "demo fuel --data a b.csv"),
])
def test_demo_passes_its_arguments_on(box, given, expected):
    box.all_installed()
    (box.tree / "build").mkdir()
    box.script(box.tree / "build/gyre", 'echo "$*"; exit 7')
    done = box.run("demo", *given)
    assert (done.returncode, done.stdout) == (7, expected + "\n")


@pytest.mark.parametrize("args", [["nonsense"], ["build", "now"], ["test", "--some"]])
def test_wrong_arguments_do_nothing(box, args):
    assert box.run(*args).returncode == 1
    assert box.calls() == []


def test_help_names_every_verb(box):
    done = box.run("-h")
    assert done.returncode == 0
    for verb in ("build", "demo", "test", "-h"):
        assert f"./setup.sh [{verb}]" in done.stdout or f"./setup.sh {verb}" in done.stdout


def test_cleanup_takes_what_was_made_and_leaves_the_rest(tmp_path):
    shutil.copy(ROOT / "cleanup.sh", tmp_path)
    shared = tmp_path / "shared"
    shared.mkdir()
    tree = tmp_path / "gyre"
    tree.mkdir()
    shutil.copy(ROOT / "cleanup.sh", tree)
    for made in ("build", "build-asan", "build-logs", "gyre-demo-sepsis", ".venv", ".setup", "src/__pycache__"):
        (tree / made).mkdir(parents=True)
        (tree / made / "file").write_text("x")
    (shared / "lib").write_text("x")
    (tree / ".deps").symlink_to(shared)
    (tree / "src/a.c").write_text("x")
    (tree / ".setup/installed-packages").write_text("gcc\nmeson\n")
    done = subprocess.run(["bash", tree / "cleanup.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tree.iterdir()) == [".setup", "cleanup.sh", "src"]
    assert [p.name for p in (tree / "src").iterdir()] == ["a.c"]
    assert (shared / "lib").exists()
    assert "gcc" in done.stdout and "--packages" in done.stdout
    assert (tree / ".setup/installed-packages").read_text() == "gcc\nmeson\n"

# SPDX-License-Identifier: Apache-2.0
"""What can go wrong while records are read: full disks, kill -9, files that change, vanish or can not be read. The output
and the log of dead letters are each as they were or whole, and the same command again completes."""

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import time

import pytest
import support

SCHEMA = "columns:\n  - {name: id, type: int, required: true, unique: true}\n  - {name: x, type: int, max: 1000}\n  - {name: s, type: string}\n"
DEAD_EVERY = 100


def table(rows, pad=""):
    return "id,x,s\n" + "".join(f"{n},{5000 if n % DEAD_EVERY == 0 else 5},{pad}\n" for n in range(1, rows + 1))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    return tmp_path


def ingest(cwd, *args, **kwargs):
    return support.run_gyre("data", "ingest", *args, cwd=cwd, **kwargs)


def letters(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def start(cwd, *args):
    return subprocess.Popen([str(support.BIN), "data", "ingest", *map(str, args)], cwd=cwd, env=support.clean_env(),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def position(pid, path):
    """How far the process has read the file; None: it has not opened it, or is done with it."""
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            if os.path.realpath(f"/proc/{pid}/fd/{fd}") == os.path.realpath(path):
                return int(open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii").readline().split()[1])
    except OSError:
        pass
    return None


def stopped_within(cwd, source):
    """A process that is stopped in the middle of reading the file."""
    size = os.path.getsize(source)
    for _ in range(50):
        process = start(cwd, source.name)
        while process.poll() is None:
            at = position(process.pid, source)
            if at is not None and 0 < at < size:
                process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                if process.poll() is None and (position(process.pid, source) or size) < size:
                    return process
                process.send_signal(signal.SIGCONT)
        process.communicate()
    pytest.fail("the file was always read before the process could be stopped")


def go_on(process):
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def grow(path):
    with open(path, "ab") as f:
        f.write(b"999999999,5,\n")


def truncate(path):
    os.truncate(path, os.path.getsize(path) - 50_000)


def rewrite(path):
    with open(path, "r+b") as f: # the same size, another time
        f.write(b"id,x,s\n")
    os.utime(path, (1, 1))


@pytest.mark.parametrize("change", [grow, truncate, rewrite])
def test_a_file_that_changes_while_it_is_read(folder, change):
    (folder / "good.csv").write_text(table(250))
    assert ingest(folder, "good.csv").returncode == 0
    before, log = (folder / "data/data.csv").read_bytes(), (folder / "dlq.log").read_bytes()
    (folder / "big.csv").write_text(table(400_000, "x" * 60))
    code, _, err = go_on_after(folder, change)
    assert code == 6 and "'big.csv' changed while it was read" in err and "writer is done" in err, err
    assert (folder / "data/data.csv").read_bytes() == before and (folder / "dlq.log").read_bytes() == log
    again = support.run_json("data", "ingest", "big.csv", cwd=folder)
    assert again["accepted"] + again["dead"] == again["read"] > 390_000


def go_on_after(folder, change):
    process = stopped_within(folder, folder / "big.csv")
    change(folder / "big.csv")
    return go_on(process)


def test_a_file_that_is_removed_while_it_is_read_is_read_whole(folder):
    (folder / "big.csv").write_text(table(400_000, "x" * 60))
    code, _, err = go_on_after(folder, os.unlink)
    assert code == 0, err
    assert (folder / "data/data.csv").read_text().count("\n") == 1 + 400_000 - 400_000 // DEAD_EVERY


def test_a_later_file_that_is_gone_fails_before_and_during(folder):
    (folder / "a.csv").write_text(table(1000))
    done = ingest(folder, "a.csv", "b.csv")
    assert done.returncode == 4 and "b.csv" in done.stderr
    assert not (folder / "data").exists() and not (folder / "dlq.log").exists()
    os.mkfifo(folder / "pipe.csv")
    (folder / "b.csv").write_text(table(10))
    process = start(folder, "pipe.csv", "b.csv")
    with open(folder / "pipe.csv", "w", encoding="ascii") as pipe:
        pipe.write(table(1000))
        (folder / "b.csv").unlink() # it was there when the command began
    _, err = process.communicate(timeout=100)
    assert process.returncode == 4 and "b.csv" in err
    assert not (folder / "data/data.csv").exists() and not (folder / "dlq.log").exists()


def test_a_read_error_leaves_all_as_it_was(folder):
    (folder / "a.csv").write_text(table(1000))
    assert ingest(folder, "a.csv").returncode == 0
    before, log = (folder / "data/data.csv").read_bytes(), (folder / "dlq.log").read_bytes()
    (folder / "b.csv").write_text(table(2000))
    done = ingest(folder, "b.csv", "/proc/self/mem", "--format", "csv") # reading its first byte is EIO
    assert done.returncode == 11 and "/proc/self/mem" in done.stderr
    assert (folder / "data/data.csv").read_bytes() == before and (folder / "dlq.log").read_bytes() == log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_unreadable_file(folder):
    (folder / "secret.csv").write_text(table(10))
    (folder / "secret.csv").chmod(0)
    folder.chmod(0o777)
    done = subprocess.run([str(support.BIN), "data", "ingest", "secret.csv", "--home", str(folder / "home")], cwd=folder,
                          env=support.clean_env(), capture_output=True, text=True, check=False, preexec_fn=become_nobody)
    if "can not" in done.stderr and str(support.BIN) in done.stderr:
        pytest.skip("the program can not be run by another user here")
    assert done.returncode == 7 and "secret.csv" in done.stderr
    assert not (folder / "data").exists()


def become_nobody():
    os.setgid(65534)
    os.setuid(65534)


def test_a_writer_that_is_killed_while_it_pipes(folder):
    """Half a gzip stream through a pipe is no whole table."""
    packed = gzip.compress(table(100_000).encode())
    done = subprocess.run([str(support.BIN), "data", "ingest", "-"], cwd=folder, env=support.clean_env(), input=packed[:len(packed) // 2],
                          capture_output=True, check=False)
    assert done.returncode == 16 and b"ends early" in done.stderr
    assert not (folder / "data/data.csv").exists() and not (folder / "dlq.log").exists()


def test_a_disk_that_is_full_for_the_output(folder, small_disk):
    (folder / "small.csv").write_text(table(1000))
    (folder / "big.csv").write_text(table(600_000, "x" * 90)) # 60 MB
    out, log = small_disk / "out", folder / "dlq.log"
    assert ingest(folder, "small.csv", "-o", out).returncode == 0
    before, letters_before = (out / "data.csv").read_bytes(), log.read_bytes()
    done = ingest(folder, "big.csv", "-o", out)
    assert done.returncode == 12 and "No space left" in done.stderr, done.stderr
    assert (out / "data.csv").read_bytes() == before and log.read_bytes() == letters_before
    assert [p.name for p in out.iterdir()] == ["data.csv"] # what did not fit is gone
    assert ingest(folder, "big.csv", "-o", folder / "data").returncode == 0
    assert len(letters(log)) == 10 + 6000


def test_a_disk_that_is_full_for_the_letters(folder, small_disk):
    (folder / "good.csv").write_text(table(1000))
    (folder / "bad.csv").write_text(table(1000) + "".join(f"x,{'y' * 900},\n" for _ in range(40_000))) # letters of 80 MB
    log = small_disk / "dlq.log"
    assert ingest(folder, "good.csv", "--dlq", log).returncode == 0
    before, letters_before = (folder / "data/data.csv").read_bytes(), log.read_bytes()
    done = ingest(folder, "bad.csv", "--dlq", log)
    assert done.returncode == 12 and "No space left" in done.stderr, done.stderr
    assert (folder / "data/data.csv").read_bytes() == before and log.read_bytes() == letters_before
    assert ingest(folder, "good.csv", "--dlq", log).returncode == 0
    assert len(letters(log)) == 20


def test_kill_9_at_any_moment(folder):
    """data.csv is the old one or the new one; letters come as whole runs; the same command again ends as if nothing was."""
    (folder / "old.csv").write_text(table(500))
    (folder / "new.csv").write_text(table(150_000, "y" * 20))
    assert ingest(folder, "new.csv", "--output-path", "want", "--dlq", "want.log").returncode == 0
    want = (folder / "want/data.csv").read_bytes()
    sizes = {0, len(letters(folder / "want.log"))}
    assert ingest(folder, "old.csv", "--dlq", "old.log").returncode == 0
    old = (folder / "data/data.csv").read_bytes()
    chance, seen = random.Random(5), set()
    begun = time.monotonic()
    assert ingest(folder, "new.csv", "--output-path", "timed", "--dlq", "timed.log").returncode == 0
    takes = time.monotonic() - begun
    for _ in range(25):
        process = start(folder, "new.csv")
        time.sleep(chance.uniform(0, takes * 1.1))
        process.kill()
        process.communicate()
        now = (folder / "data/data.csv").read_bytes()
        assert now in (old, want)
        seen.add(now == want)
        # Whole runs, each with all of its letters; at most the last line of a killed one is cut.
        text = (folder / "dlq.log").read_text() if (folder / "dlq.log").exists() else ""
        lines = text.splitlines()
        whole = [json.loads(line) for line in lines if line.endswith("}")]
        assert len(lines) - len(whole) <= 25
        if now == want:
            assert len(whole) >= max(sizes)
        # Nothing lies about, but for a kill between the naming of the new file and its renaming.
        left = [p for p in (folder / "data").iterdir() if p.name != "data.csv"]
        assert len(left) <= 1 and all(p.read_bytes() == want for p in left)
        for p in left:
            p.unlink()
    again = support.run_json("data", "ingest", "new.csv", cwd=folder)
    assert (folder / "data/data.csv").read_bytes() == want
    assert again["sha256"] == hashlib.sha256(want).hexdigest()
    rows = [line.split(b",")[0] for line in want.splitlines()]
    assert len(rows) == len(set(rows)) == again["accepted"] + 1
    # (source, row) tells the letters of all these runs apart: the same record has the same name in each.
    names = {(letter["source"], letter["row"]) for letter in letters_of_whole_lines(folder / "dlq.log")}
    assert len(names) == again["dead"]


def letters_of_whole_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{") and line.endswith("}")]

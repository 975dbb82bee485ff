# SPDX-License-Identifier: Apache-2.0
"""gyre models env: an environment is there as a whole or not at all, however its making ends. `python3` is a double: it makes a
venv whose pip takes as long as the test wants."""

import os
import pathlib
import signal
import subprocess
import time

import support

VENV = """#!/bin/sh
mkdir -p "$3/bin"
cat > "$3/bin/python" <<'END'
#!/bin/sh
[ "$2" = pip ] || exit 1
echo $$ > "$STARTED"
[ -z "$HANGS" ] || exec sleep 3600
END
chmod +x "$3/bin/python"
"""


def wait_until(is_so, what, seconds=60):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def begin(tmp_path, hangs):
    """(process, the file in which pip writes its pid)"""
    tools, package = tmp_path / "tools", tmp_path / "package"
    for folder in (tools, package):
        folder.mkdir(exist_ok=True)
    (tools / "python3").write_text(VENV)
    (tools / "python3").chmod(0o755)
    (package / "requirements.txt").write_text("mlflow\n")
    (package / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n")
    started = tmp_path / "started"
    started.unlink(missing_ok=True)
    env = support.clean_env({"PATH": f"{tools}:{os.environ['PATH']}", "STARTED": str(started), "HANGS": "1" if hangs else "",
                             "GYRE_PYTHON_RUNTIME": str(tmp_path / "python")})
    process = subprocess.Popen([str(support.BIN), "models", "env", str(package), "--home", str(tmp_path / "home")], cwd=tmp_path, env=env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return process, started


def pid_of(started):
    wait_until(lambda: started.exists() and started.read_text().strip(), "pip")
    return int(started.read_text())


def is_gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_a_signal_leaves_nothing(tmp_path):
    envs = tmp_path / "python" / "envs"
    for number in (signal.SIGINT, signal.SIGTERM):
        process, started = begin(tmp_path, hangs=True)
        pip = pid_of(started)
        assert [p.name.startswith(".") for p in envs.iterdir()] == [True]  # no environment yet
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        assert process.returncode != 0 and "ended by signal" in said, said
        assert list(envs.iterdir()) == []
        wait_until(lambda: is_gone(pip), "the end of pip")


def test_what_a_killed_one_left_is_cleaned(tmp_path):
    envs = tmp_path / "python" / "envs"
    process, started = begin(tmp_path, hangs=True)
    pip = pid_of(started)
    process.kill()
    os.kill(pip, signal.SIGKILL)  # it outlives who started it
    process.communicate(timeout=60)
    (left,) = envs.iterdir()
    # One that is being made is not what somebody left.
    other, started = begin(tmp_path, hangs=True)
    pid_of(started)
    (making,) = envs.iterdir()
    assert making != left
    third, _ = begin(tmp_path, hangs=False)
    third.communicate(timeout=60)
    made = [p for p in envs.iterdir() if not p.name.startswith(".")]
    assert making.exists() and len(made) == 1 and (made[0] / "bin" / "python").exists()
    other.send_signal(signal.SIGTERM)
    other.communicate(timeout=60)
    assert list(envs.iterdir()) == made
    # An older version left it half-made.
    (made[0] / "bin" / "python").unlink()
    begin(tmp_path, hangs=False)[0].communicate(timeout=60)
    assert list(envs.iterdir()) == made and (made[0] / "bin" / "python").exists()

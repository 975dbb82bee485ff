#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Versioning files: gyre data add, status and checkout beside the real dvc and beside md5sum + cp --reflink=auto, in one run.

    tests/bench/bench_dvc.py [--files 100000] [--size 2700] [--large 4] [--mib 256] [--repeat 3] [--no-dvc] [--folder DIR]

Each command works on files that are in the page cache, in a repository of its own on one file system; the best of --repeat runs counts.
`wall` is seconds, `cpu` user + system of the command and its children. Gyre's add ends with one syncfs, so that what it recorded
survives a power loss; dvc, md5sum and cp sync nothing: `cpu` is what compares like with like on a busy machine, and `sync` is what
a plain `sync` takes after the copy. GYRE_BIN and GYRE_DVC name the programs.
"""

import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GYRE = os.environ.get("GYRE_BIN") or str(ROOT / "build" / "gyre")
DVC = os.environ.get("GYRE_DVC") or shutil.which("dvc", path=str(ROOT / ".venv" / "bin")) or shutil.which("dvc")


def measure(command, cwd, env):
    """(wall seconds, cpu seconds) of one command, which must succeed."""
    begin = time.monotonic()
    child = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    message = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command}: exit {child.returncode}\n{message.decode(errors='replace')}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime


def best(runs):
    return min(r[0] for r in runs), min(r[1] for r in runs)


def make_small(folder, n, size):
    rng = random.Random(1)
    for i in range(n):
        path = folder / f"{i % 100:02d}"
        if i < 100:
            path.mkdir(parents=True)
        (path / f"{i:07d}.bin").write_bytes(rng.randbytes(rng.randint(size // 10, 2 * size - size // 10)))


def make_large(folder, n, mib):
    folder.mkdir(parents=True)
    rng = random.Random(2)
    for i in range(n):
        with open(folder / f"{i}.bin", "wb") as out:
            for _ in range(mib):
                out.write(rng.randbytes(1 << 20))


def fresh(base, name, source):
    repo = base / name
    shutil.rmtree(repo, ignore_errors=True)
    repo.mkdir()
    subprocess.run(["git", "init", "-q", repo], check=True)
    subprocess.run(["cp", "-r", "--reflink=auto", source, repo / "d"], check=True)
    subprocess.run(["sync", "-f", str(repo)], check=True)
    time.sleep(0.1)
    return repo


def versions(base, source, args, env):
    """All programs on one tree: what -> (wall, cpu)."""
    found = {}
    runs = {}
    for _ in range(args.repeat):
        repo = fresh(base, "gyre", source)
        runs.setdefault("gyre data add", []).append(measure([GYRE, "data", "add", "d"], repo, env))
        runs.setdefault("gyre data status", []).append(measure([GYRE, "data", "status"], repo, env))
        os.rename(repo / "d", repo / "away")  # removing files first would make ext4 look for inodes that were not just freed
        runs.setdefault("gyre data checkout", []).append(measure([GYRE, "data", "checkout"], repo, env))
        shutil.rmtree(base / "copy", ignore_errors=True)
        script = f"find d -type f -print0 | xargs -0 md5sum > ../sums && cp -r --reflink=auto d {base / 'copy'}"
        repo = fresh(base, "plain", source)
        runs.setdefault("md5sum + cp", []).append(measure(["sh", "-c", script], repo, env))
        runs.setdefault("sync of cp", []).append(measure(["sync", "-f", str(base)], repo, env))
        for done in ("gyre", "plain", "copy"):
            shutil.rmtree(base / done, ignore_errors=True)
    if DVC and not args.no_dvc:
        repo = fresh(base, "dvc", source)
        measure([DVC, "init", "-q"], repo, env)
        runs["dvc add"] = [measure([DVC, "add", "-q", "d"], repo, env)]
        runs["dvc status"] = [measure([DVC, "status", "-q"], repo, env)]
        os.rename(repo / "d", repo / "away")
        runs["dvc checkout"] = [measure([DVC, "checkout", "-q"], repo, env)]
    for what, list_of_runs in runs.items():
        found[what] = best(list_of_runs)
    return found


def report(title, found):
    print(f"\n{title}")
    for what, (wall, cpu) in found.items():
        print(f"  {what:20s} wall {wall:8.3f} s   cpu {cpu:8.3f} s")
    pairs = [("dvc add", "gyre data add"), ("dvc status", "gyre data status"), ("dvc checkout", "gyre data checkout"),
             ("gyre data add", "md5sum + cp")]
    for more, less in pairs:
        if more in found and less in found:
            print(f"  {more} / {less}: wall {found[more][0] / found[less][0]:.2f}, cpu {found[more][1] / max(found[less][1], 1e-3):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100000, help="small files")
    parser.add_argument("--size", type=int, default=2700, help="their mean size in bytes")
    parser.add_argument("--large", type=int, default=4, help="large files")
    parser.add_argument("--mib", type=int, default=256, help="size of each, MiB")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--no-dvc", action="store_true")
    parser.add_argument("--folder", help="where to work (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        base = pathlib.Path(name)
        env = {k: v for k, v in os.environ.items() if not k.startswith("GYRE_")}
        env.update({"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(base / "site"), "NO_COLOR": "1"})
        if args.files > 0:
            make_small(base / "small", args.files, args.size)
            report(f"{args.files} files of about {args.size} bytes", versions(base, base / "small", args, env))
        if args.large > 0:
            make_large(base / "large", args.large, args.mib)
            report(f"{args.large} files of {args.mib} MiB", versions(base, base / "large", args, env))


if __name__ == "__main__":
    main()

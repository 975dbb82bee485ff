# SPDX-License-Identifier: Apache-2.0
"""Push and pull of many small files and of some large ones to a real S3 server on this machine: gyre, dvc, aws s3 cp, plain copy.

Each tool sends the same bytes to an empty prefix, and brings them back into an empty folder or cache. Printed: seconds, and how many times
longer than gyre each took. Peers that are not there are left out and named. The server (versitygw) is on the same processors,
so the ratios say less than the programs differ by: what the server needs is in all of them.

    GYRE_BIN, --dvc PATH (default: beside this Python), --aws PATH (in a venv of its own: pip install awscli)
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import s3server  # noqa: E402
import support  # noqa: E402


def timed(command, cwd, env):
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command}: exit {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    after = os.times()
    return time.perf_counter() - start, after.children_user + after.children_system - before.children_user - before.children_system


def make(folder, files, size, large, large_bytes):
    folder.mkdir(parents=True)
    for i in range(files):
        sub = folder / f"{i % 100:02d}"
        sub.mkdir(exist_ok=True)
        (sub / f"f{i}").write_bytes((b"%d\n" % i) * (size // len(b"%d\n" % i) + 1))
    for i in range(large):
        (folder / f"large{i}").write_bytes(os.urandom(large_bytes))


def repository(path, data, server, prefix, gyre, env):
    path.mkdir()
    subprocess.run(["git", "init", "-q", path], check=True)
    shutil.copytree(data, path / "data")
    for words in (["add", "data"], ["remote", "add", "-d", "r", f"s3://bench/{prefix}"], ["remote", "modify", "r", "endpointurl", server.endpoint],
                  ["remote", "modify", "r", "access_key_id", s3server.ACCESS], ["remote", "modify", "r", "secret_access_key", s3server.SECRET]):
        subprocess.run([gyre, "data", *words], cwd=path, env=env, check=True, capture_output=True)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--size", type=int, default=4096, help="bytes of a small file")
    parser.add_argument("--large", type=int, default=0, help="number of large files")
    parser.add_argument("--large-mib", type=int, default=256)
    parser.add_argument("--dvc", default=str(pathlib.Path(sys.executable).parent / "dvc"))
    parser.add_argument("--aws", default=shutil.which("aws"))
    parser.add_argument("--skip-dvc", action="store_true")
    args = parser.parse_args()
    gyre = str(support.BIN)
    with tempfile.TemporaryDirectory(prefix="gyre-bench-") as base:
        base = pathlib.Path(base)
        server = s3server.S3Server(base / "server")
        server.bucket("bench")
        env = support.clean_env({**server.env, "DVC_NO_ANALYTICS": "1", "DVC_GLOBAL_CONFIG_DIR": str(base), "DVC_SITE_CACHE_DIR": str(base / "site")})
        (base / "none").write_text("")
        env.update({"AWS_SHARED_CREDENTIALS_FILE": str(base / "none"), "AWS_CONFIG_FILE": str(base / "none")})
        env = {k: v for k, v in env.items() if v or not k.startswith("AWS_")}
        make(base / "data", args.files, args.size, args.large, args.large_mib << 20)
        total = sum(p.stat().st_size for p in (base / "data").rglob("*") if p.is_file())
        print(f"{args.files} files of {args.size} bytes, {args.large} of {args.large_mib} MiB: {total / 1e6:.0f} MB in all", flush=True)
        rows = {}
        mine = repository(base / "gyre", base / "data", server, "gyre", gyre, env)
        push = timed([gyre, "data", "push"], mine, env)
        again = timed([gyre, "data", "push"], mine, env)
        full = timed([gyre, "data", "push", "--all"], mine, env)
        shutil.rmtree(mine / ".dvc/cache")
        fetch = timed([gyre, "data", "fetch"], mine, env)
        rows["gyre"] = (push, again, full, fetch)
        if not args.skip_dvc and os.access(args.dvc, os.X_OK):
            theirs = repository(base / "dvc", base / "data", server, "dvc", gyre, env)
            push = timed([args.dvc, "push", "-q"], theirs, env)
            again = timed([args.dvc, "push", "-q"], theirs, env)
            shutil.rmtree(theirs / ".dvc/cache")
            rows["dvc"] = (push, again, None, timed([args.dvc, "fetch", "-q"], theirs, env))
        else:
            print("dvc: left out")
        if args.aws and os.access(args.aws, os.X_OK):
            aws = [args.aws, "--endpoint-url", server.endpoint, "s3", "cp", "--recursive", "--quiet"]
            push = timed([*aws, base / "data", "s3://bench/aws"], base, env)
            sync = timed([args.aws, "--endpoint-url", server.endpoint, "s3", "sync", "--quiet", base / "data", "s3://bench/aws"], base, env)
            rows["aws s3 cp"] = (push, sync, sync, timed([*aws, "s3://bench/aws", base / "back"], base, env))
        else:
            print("aws: left out")
        rows["cp -r"] = (timed(["cp", "-r", base / "data", base / "copy"], base, env), None, None, None)
        server.kill()
    head = ("push", "push again", "push --all", "fetch")
    print(f"{'':12}" + "".join(f"{h:>24}" for h in head))
    for name, row in rows.items():
        cells = []
        for mine, one in zip(rows["gyre"], row):
            cells.append("-" if one is None else f"{one[0]:.2f} s ({one[1]:.2f} cpu) x{one[0] / mine[0]:.1f}")
        print(f"{name:12}" + "".join(f"{c:>24}" for c in cells))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL of the tests' own: Debian's server in a temporary folder, on a private socket and a free loopback port,
run by an unprivileged user (it refuses root), stopped by its pid.

As a module: start() gives a running one, whose url() is that of a fresh database. As a program, for the unit tests: prints
"ready", or "skip: REASON", and goes on until its standard input ends; then it stops and removes the server. Each line that it
reads is answered by one: `url` and `password-url` by the URL of a fresh database (over the socket; over TCP with a password),
`crash` ends the server as a power cut would and starts it again, `down` and `up` are its halves.
"""

import os
import pathlib
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

USER, PASSWORD = "gyre", "s3cret word/+"
START_S = 90


class Missing(Exception):
    """There is no PostgreSQL here; the reason is for the counted skip."""


def find_bin():
    """The folder of initdb and pg_ctl; Debian keeps them out of the PATH."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda p: float(p.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("pg_ctl")
    if not on_path:
        raise Missing("PostgreSQL's server is not installed (Debian package postgresql)")
    return pathlib.Path(on_path).resolve().parent


def unprivileged():
    """(uid, gid) to run the server as; None: this process is unprivileged itself."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
        except KeyError:
            pass
    raise Missing("root has no unprivileged user to run PostgreSQL as")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Postgres:
    """One server. One owner; stop() ends it and removes its folder."""

    def __init__(self, durable=False):
        self.durable = durable
        self.bin = find_bin()
        self.ids = unprivileged()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="gyre-pg-", dir="/tmp"))  # short: a socket's path has 107 bytes
        self.data = self.dir / "data"
        self.port = None

    def run(self, *command, check=True, **more):
        if self.ids:
            more.update(user=self.ids[0], group=self.ids[1], extra_groups=[])
        done = subprocess.run(list(map(str, command)), cwd=self.dir, capture_output=True, text=True, check=False, timeout=START_S,
                              stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8", "PGPASSWORD": PASSWORD}, **more)
        if check and done.returncode != 0:
            raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self):
        if self.ids:
            os.chown(self.dir, *self.ids)
        (self.dir / "password").write_text(PASSWORD)
        os.chmod(self.dir / "password", 0o644)
        # A linguistic collation: what depends on the order of bytes must say so itself. Without `durable`, fsync is off: a power
        # cut is not tested here, the death of processes is.
        self.run(self.bin / "initdb", "-D", self.data, "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu",
                 "--icu-locale=en-US", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256",
                 f"--pwfile={self.dir / 'password'}")
        (self.data / "postgresql.auto.conf").write_text("")
        if self.ids:
            os.chown(self.data / "postgresql.auto.conf", *self.ids)
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(f"unix_socket_directories = '{self.dir}'\nlisten_addresses = '127.0.0.1'\n"
                       f"fsync = {'on' if self.durable else 'off'}\n"
                       "shared_buffers = 32MB\nmax_connections = 80\nautovacuum = off\nlog_min_messages = warning\n"
                       "restart_after_crash = on\nwal_level = minimal\nmax_wal_senders = 0\n")
        for attempt in range(5):
            self.port = free_port()
            if self.begin(check=attempt == 4).returncode == 0:
                return self
        raise AssertionError("not reached")

    def begin(self, check=True):
        # The log's file, not our pipes: pg_ctl's child would hold them.
        return self.run(self.bin / "pg_ctl", "-D", self.data, "-w", "-t", START_S, "-l", self.dir / "log", "-o",
                        f"-p {self.port}", "start", check=check)

    def crash(self):
        """As a power cut of the database: no checkpoint, connections die, recovery at the start."""
        self.down()
        self.begin()

    def down(self):
        self.run(self.bin / "pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def sql(self, text, database="postgres"):
        return self.run(self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.dir, "-p", self.port, "-U", USER,
                        "-d", database, "-c", text).stdout.strip()

    def database(self):
        """The name of a fresh database."""
        name = f"t_{secrets.token_hex(6)}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def url(self):
        """Of a fresh database, over the socket."""
        return f"postgresql:///{self.database()}?host={self.dir}&port={self.port}&user={USER}"

    def password_url(self):
        """Of a fresh database, over TCP, with the password in it."""
        return f"postgresql://{USER}:{urllib.parse.quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{self.database()}"

    def stop(self):
        try:
            if (self.data / "postmaster.pid").exists():
                self.run(self.bin / "pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop", check=False)
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


def start(durable=False):
    """A running server; durable: commits wait for the disk, as in earnest. Fails with Missing."""
    server = Postgres(durable)
    try:
        return server.start()
    except BaseException:
        server.stop()
        raise


def main():
    try:
        server = start()
    except Missing as why:
        print(f"skip: {why}", flush=True)
        return 0
    requests = {"url": server.url, "password-url": server.password_url, "crash": server.crash, "down": server.down, "up": server.begin}
    try:
        print("ready", flush=True)
        for line in sys.stdin:
            answer = requests[line.strip()]()
            print(answer if isinstance(answer, str) else "ok", flush=True)
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

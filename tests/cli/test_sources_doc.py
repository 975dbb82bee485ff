# SPDX-License-Identifier: Apache-2.0
"""Every command of docs/sources.md, on a real PostgreSQL and a real S3 server in the place of those it names."""

import re
import shlex

import pytest
import s3server
import support
import test_compounds

DOC = (support.ROOT / "docs" / "sources.md").read_text()


def commands():
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", DOC, re.S | re.M):
        if language:
            continue
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def yaml_block():
    return re.search(r"^```yaml\n(.*?)^```", DOC, re.S | re.M).group(1)


def test_each_command_works(postgres, tmp_path):
    try:
        s3 = s3server.S3Server(tmp_path / "s3")
    except s3server.Missing as why:
        pytest.skip(str(why))
    url = postgres.password_url()
    postgres.sql("CREATE TABLE vitals (id int, hr int, temp float8, updated_at timestamptz); "
                 "INSERT INTO vitals SELECT i, 60 + i, 36.5, now() - interval '1 h' FROM generate_series(1, 9) i", url.rsplit("/", 1)[1])
    s3.start()
    try:
        bucket = s3.bucket("bucket")
        s3.put(bucket, "exports/2026/a.csv", b"id,hr,temp\n1,60,36.6\n")
        ran = 0
        for words in commands():
            assert words[:3] == ["gyre", "data", "ingest"], words
            work = tmp_path / f"w{ran}"
            work.mkdir()
            if "compounds.json" in words:
                test_compounds.make(work / "raw-data")
                (work / "schema.yaml").write_text(yaml_block())
            (work / "in").mkdir()
            (work / "in" / "b.csv").write_text("id,hr,temp\n2,61,36.7\n")
            args = [re.sub(r"postgresql://(reader@)?db\.example/hospital", url, w).replace("http://127.0.0.1:9000", s3.endpoint) for w in words[1:]]
            done = support.run_gyre(*args, cwd=work, env=s3server.keys(s3.endpoint))
            assert done.returncode == 0, (words, done.stderr)
            accepted = 100 if "compounds.json" in words else 9 if "--query" in words else 1
            assert f", {accepted} accepted," in done.stdout, (words, done.stdout)
            ran += 1
        assert ran == 7
    finally:
        s3.kill()

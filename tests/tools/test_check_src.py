# SPDX-License-Identifier: Apache-2.0
"""Each check of tools/check-src refuses its bad sample and lets the good one pass."""

import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "check-src"
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


@pytest.fixture(scope="module")
def tool():
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("check_src", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_src", loader))
    loader.exec_module(module)
    return module


def body(lines):
    return SPDX + "int f(int a)\n{\n" + "".join(lines) + "    return a;\n}\n"


# (check, file, bad text, a word of the finding, good text)
SAMPLES = [
    ("may-use", "src/net/a.c", SPDX + '#include "serve/ring.h"\n', "net may not use serve", SPDX + '#include "base/err.h"\n'),
    ("may-use", "src/data/a.c", SPDX + '#include "track/run.h"\n', "data may not use track", SPDX + '#include "store/db.h"\n'),
    ("may-use", "src/track/a.c", SPDX + '#include "data/x.h"\n', "track may not use data", SPDX + '#include "track/run.h"\n'),
    ("may-use", "src/base/a.h", SPDX + '#include "net/call.h"\n', "base may not use net", SPDX + '#include "net_like.h"\n'),
    ("may-use", "src/api/a.c", SPDX + '#include "../net/call.h"\n', "name headers from src/", SPDX + '#include "net/call.h"\n'),
    ("may-use", "src/extra/a.c", SPDX + '#include "base/err.h"\n', "no room", SPDX + "#include <stdio.h>\n"),
    ("banned", "src/base/a.c", body(["    strcpy(d, s);\n"]), "strcpy is banned", body(['    put("strcpy(d)"); /* strcpy( */\n'])),
    ("banned", "src/base/a.c", body(["    sprintf(d, s);\n"]), "sprintf is banned", body(["    snprintf(d, n, s);\n"])),
    ("banned", "src/base/a.c", body(["    n = atoi (s);\n"]), "atoi is banned", body(["    n = my_atoi(s) + x.atoi(s);\n"])),
    ("banned", "tests/unit/a.c", body(["    t = gmtime(&n);\n"]), "gmtime is banned", body(["    t = gmtime_r(&n, &m);\n"])),
    ("allocators", "src/store/a.c", body(["    p = malloc(3);\n"]), "malloc outside", body(["    p = gy_malloc(3);\n"])),
    ("allocators", "src/store/a.c", body(["    free(p);\n"]), "free outside", body(["    gy_free(p);\n    ops->free(p);\n"])),
    ("file-length", "src/base/a.c", SPDX + "\n" * 1500, "1501 lines", SPDX + "\n" * 1499),
    ("functions", "src/base/a.c", body(["    a++;\n"] * 150), "lines, 150 is the most", body(["    a++;\n"] * 140)),
    ("functions", "src/base/a.c", body(["    if (a) {\n        a++;\n    }\n"] * 30), "complexity 31",
     body(["    if (a) {\n        a++;\n    }\n"] * 29)),
    ("columns", "src/base/a.c", SPDX + "/* " + "x" * 95 + " */\n", "101 columns", SPDX + "/* " + "ü" * 94 + " */\n"),
    ("columns", "src/base/a.c", SPDX + "int\ta;\n", "a tab", SPDX + "int a;\n"),
    ("columns", "src/base/a.c", SPDX + "int a; \n", "blanks at the end", SPDX + "int a;\n"),
    ("columns", "src/base/a.c", SPDX + "int a;", "no newline", SPDX + "int a;\n"),
    ("spdx", "src/base/a.c", "int a;\n", "no SPDX", SPDX),
    ("spdx", "tests/http/test_a.py", "import os\n", "no SPDX", "# SPDX-License-Identifier: Apache-2.0\n"),
    ("spdx", "tools/x", "#!/bin/sh\necho\n", "no SPDX", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n"),
    ("marks", "src/base/a.c", SPDX + "/* TO" + "DO: later */\n", "TO" + "DO", SPDX + "/* MASTODON */\n"),
    ("marks", "tests/cli/test_a.py", "# FIX" + "ME\n", "FIX" + "ME", "# fixed\n"),
    ("hosts", "README.md", "see https://registry.n" + "pmjs.org/x\n", "names n" + "pmjs.", "see the npm package\n"),
    ("hosts", "docs/a.md", "https://py" + "pi.org/simple\n", "names py" + "pi.org", "PyPI\n"),
    ("hosts", "setup.sh", "cd /wo" + "rk/main\n", "names /wo" + "rk/", "cd ../shared\n"),
    ("binaries", "left.db", "SQLite format 3\0", "a binary file", "text\n"),
    ("goto", "src/base/a.c", body(["again:\n", "    a++;\n", "    goto again;\n"]), "goes back",
     body(["    goto out;\n", "out:\n"])),
    ("braces", "src/base/a.c", body(["    if (f(a))\n        a++;\n"]), "if without", body(["    if (f(a)) {\n        a++;\n    }\n"])),
    ("braces", "src/base/a.c", body(["    while (a)\n        a++;\n"]), "while without",
     body(["    do {\n        a++;\n    } while (a);\n"])),
    ("braces", "src/base/a.c", body(["    if (a) {\n    } else\n        a++;\n"]), "else without",
     body(["    if (a) {\n    } else if (f(a)) {\n    } else {\n    }\n"])),
    ("headers", "src/base/a.h", SPDX + "size_t f(void);\n", "does not compile alone", SPDX + "#include <stddef.h>\nsize_t f(void);\n"),
    ("headers", "src/base/a.h", SPDX + "struct a {\n    int b;\n};\n", "does not compile alone",
     SPDX + "#ifndef A\n#define A\nstruct a {\n    int b;\n};\n#endif\n"),
]


def findings(tool, root, check):
    return tool.run(root, [check])[check]


@pytest.mark.parametrize("check,file,bad,word,good", SAMPLES, ids=[f"{s[0]}-{i}" for i, s in enumerate(SAMPLES)])
def test_refuses_the_bad_and_passes_the_good(tool, tmp_path, check, file, bad, word, good):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(bad)
    found = findings(tool, tmp_path, check)
    assert len(found) == 1, found
    assert word in found[0]
    assert found[0].startswith(file)
    path.write_text(good)
    assert findings(tool, tmp_path, check) == []


def test_every_check_has_a_sample(tool):
    assert {s[0] for s in SAMPLES} == set(tool.CHECKS)


def test_an_exception_is_honoured_and_must_be_needed(tool, tmp_path):
    source, allow = tmp_path / "src/net/a.c", tmp_path / "tools/check-src.allow"
    source.parent.mkdir(parents=True)
    allow.parent.mkdir()
    source.write_text(body(["    free(p);\n"]))
    allow.write_text("allocators src/net/a.c free memory of the library\n")
    assert findings(tool, tmp_path, "allocators") == []
    source.write_text(body([]))
    assert findings(tool, tmp_path, "allocators") == ["tools/check-src.allow:1: not needed any more"]


def test_a_link_out_of_the_tree_is_refused(tool, tmp_path):
    (tmp_path / ".deps").symlink_to("/usr")
    (tmp_path / "inside").symlink_to(".deps")
    assert findings(tool, tmp_path, "hosts") == [".deps: a link out of the tree"]


def test_the_command_exits_1_and_names_the_line(tmp_path):
    (tmp_path / "src/net").mkdir(parents=True)
    (tmp_path / "src/net/a.c").write_text(body(["    strcat(d, s);\n"]))
    done = subprocess.run([TOOL, "--root", tmp_path, "banned"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "src/net/a.c:4: strcat is banned\n")
    done = subprocess.run([TOOL, "--root", tmp_path, "goto"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert subprocess.run([TOOL, "no-such-check"], capture_output=True, check=False).returncode == 2

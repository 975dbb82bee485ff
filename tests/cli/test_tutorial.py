# SPDX-License-Identifier: Apache-2.0
"""`gyre tutorial`: the pages are shown as they stand in docs/tutorial, and each of them does what it promises."""

import json
import shutil

import pytest

import support

PAGES = sorted((support.ROOT / "docs" / "tutorial").glob("*.md"))


def test_pages_are_listed_and_shown(tmp_path):
    pages = support.run_json("tutorial", cwd=tmp_path)["pages"]
    assert [page["number"] for page in pages] == list(range(6)) == [int(p.name[0]) for p in PAGES]
    assert all(page["title"] and page["time"].endswith("minutes") for page in pages)
    listed = support.run_gyre("tutorial", cwd=tmp_path).stdout
    assert all(page["title"] in listed for page in pages)
    for number, page in enumerate(PAGES):
        assert support.run_gyre("tutorial", number, cwd=tmp_path).stdout == page.read_text(encoding="utf-8")
    assert support.run_json("tutorial", "3", cwd=tmp_path)["text"] == PAGES[3].read_text(encoding="utf-8")
    for words in (["9"], ["data"], ["check"], ["check", "7"], ["show", "1"]):
        done = support.run_gyre("tutorial", *words, cwd=tmp_path)
        assert done.returncode == 2, done.stderr


@pytest.mark.parametrize("number", range(6))
def test_a_page_does_what_it_promises(number, tmp_path):
    if "curl " in PAGES[number].read_text(encoding="utf-8") and not shutil.which("curl"):
        pytest.skip("there is no curl")
    done = support.run_gyre("tutorial", "check", number, "--dir", "page", "--json", cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert all(step["ok"] and step["command"] and step["name"] for step in result["steps"])
    assert result["table"] == {"page": number, "commands": len(result["steps"])}
    assert len(result["steps"]) >= (4 if number else 0)


def test_a_folder_of_yours_is_left_alone(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    done = support.run_gyre("tutorial", "check", "1", "--dir", mine, cwd=tmp_path)
    assert done.returncode == 6 and "was not made by a demo" in done.stderr
    assert (mine / "thesis.txt").read_text() == "years of work"

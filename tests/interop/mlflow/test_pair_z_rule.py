# SPDX-License-Identifier: Apache-2.0
"""Last in this folder: what passes on MLflow passes on Gyre."""


def test_what_passes_there_passes_here(outcomes):
    behind = {name: row for name, row in outcomes.items() if row.get("mlflow") == "passed" and row.get("gyre", "passed") != "passed"}
    assert not behind
    one_sided = {name: row for name, row in outcomes.items() if len(row) == 2 and "skipped" in row.values() and len(set(row.values())) == 2}
    assert not one_sided

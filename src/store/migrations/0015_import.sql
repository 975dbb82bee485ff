-- SPDX-License-Identifier: Apache-2.0
-- What was brought in from other stores (track/import.h): where each entity came from, what it was when it came (so that a
-- repeated import passes over it), and how much of it there was, for the comparison at the end.

CREATE TABLE imports (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    source TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (workspace_id, source)
);

-- Under which number an experiment of the source is kept here.
CREATE TABLE import_experiments (
    import_id INTEGER NOT NULL REFERENCES imports (id),
    source_id INTEGER NOT NULL,
    experiment_id INTEGER NOT NULL,
    PRIMARY KEY (import_id, source_id)
) WITHOUT ROWID;

-- kind: experiment, run, logged_model, model, version ("name/3"). fingerprint: of what the source said. n_points: of all metrics;
-- n_links: datasets and models of a run, aliases of a model.
CREATE TABLE import_items (
    import_id INTEGER NOT NULL REFERENCES imports (id),
    kind TEXT NOT NULL CHECK (kind IN ('experiment', 'run', 'logged_model', 'model', 'version')),
    id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    n_params INTEGER NOT NULL,
    n_tags INTEGER NOT NULL,
    n_points INTEGER NOT NULL,
    n_links INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (import_id, kind, id)
) WITHOUT ROWID;

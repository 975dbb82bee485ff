-- SPDX-License-Identifier: Apache-2.0
-- Experiments, runs, artifacts, the model registry and logged models. *_ms columns are what an MLflow client sent, in its unit.

CREATE TABLE experiments (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    artifact_location TEXT NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    UNIQUE (workspace_id, name)
);
CREATE TABLE experiment_tags (
    experiment_id INTEGER NOT NULL REFERENCES experiments (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (experiment_id, key)
) WITHOUT ROWID;

-- seq is the short name of a run inside this database: millions of metric rows carry it instead of the 32 characters of id.
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    experiment_id INTEGER NOT NULL REFERENCES experiments (id),
    name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')),
    start_ms INTEGER,
    end_ms INTEGER,
    artifact_uri TEXT NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX runs_experiment ON runs (experiment_id, start_ms DESC, id);
CREATE TABLE run_params (
    run INTEGER NOT NULL REFERENCES runs (seq),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE TABLE run_tags (
    run INTEGER NOT NULL REFERENCES runs (seq),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;

-- Metrics: the history is a set, in the order in which it is read; NaN is value 0 with is_nan 1. latest_metrics is the greatest
-- (step, ts_ms, value) of each key, kept in the transaction that adds history.
CREATE TABLE metric_keys (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE metrics (
    run INTEGER NOT NULL,
    key INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    step INTEGER NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (run, key, ts_ms, step, value, is_nan)
) WITHOUT ROWID;
CREATE TABLE latest_metrics (
    run INTEGER NOT NULL,
    key INTEGER NOT NULL,
    step INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;

-- Datasets that runs say they read (the client's own description), once per experiment, name and digest.
CREATE TABLE run_datasets (
    id INTEGER PRIMARY KEY,
    experiment_id INTEGER NOT NULL REFERENCES experiments (id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    schema TEXT,
    profile TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (experiment_id, name, digest)
);
CREATE TABLE run_inputs (
    run INTEGER NOT NULL REFERENCES runs (seq),
    dataset_id INTEGER NOT NULL REFERENCES run_datasets (id),
    PRIMARY KEY (run, dataset_id)
) WITHOUT ROWID;
CREATE TABLE run_input_tags (
    run INTEGER NOT NULL,
    dataset_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, dataset_id, key)
) WITHOUT ROWID;

-- Files below the root of the artifacts: path is relative ("0/<run>/artifacts/model/MLmodel"), bytes are objects.
CREATE TABLE artifacts (
    path TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE logged_models (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    experiment_id INTEGER NOT NULL REFERENCES experiments (id),
    name TEXT NOT NULL,
    artifact_uri TEXT NOT NULL,
    status INTEGER NOT NULL,
    model_type TEXT,
    source_run_id TEXT,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL
);
CREATE INDEX logged_models_experiment ON logged_models (experiment_id, created_us);
CREATE INDEX logged_models_run ON logged_models (source_run_id);
CREATE TABLE logged_model_params (
    model_id TEXT NOT NULL REFERENCES logged_models (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_id, key)
) WITHOUT ROWID;
CREATE TABLE logged_model_tags (
    model_id TEXT NOT NULL REFERENCES logged_models (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_id, key)
) WITHOUT ROWID;
CREATE TABLE logged_model_metrics (
    model_id TEXT NOT NULL REFERENCES logged_models (id),
    key TEXT NOT NULL,
    ts_ms INTEGER NOT NULL,
    step INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    dataset_name TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (model_id, key, ts_ms, step, run_id, dataset_name, dataset_digest, value, is_nan)
) WITHOUT ROWID;
-- Logged models that a run read ('input') or made ('output').
CREATE TABLE run_models (
    run INTEGER NOT NULL REFERENCES runs (seq),
    kind TEXT NOT NULL CHECK (kind IN ('input', 'output')),
    model_id TEXT NOT NULL,
    step INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, kind, model_id)
) WITHOUT ROWID;

CREATE TABLE registered_models (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    description TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    UNIQUE (workspace_id, name)
);
CREATE TABLE registered_model_tags (
    model INTEGER NOT NULL REFERENCES registered_models (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;
-- A deleted version stays as a row, so that its number is never given again.
CREATE TABLE model_versions (
    id INTEGER PRIMARY KEY,
    model INTEGER NOT NULL REFERENCES registered_models (id),
    version INTEGER NOT NULL,
    description TEXT,
    source TEXT NOT NULL,
    storage_location TEXT NOT NULL,
    run_id TEXT,
    run_link TEXT,
    logged_model_id TEXT,
    stage TEXT NOT NULL DEFAULT 'None',
    digest TEXT,
    servable TEXT NOT NULL DEFAULT 'unknown' CHECK (servable IN ('yes', 'no', 'unknown')),
    servable_reason TEXT,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    UNIQUE (model, version)
);
CREATE INDEX model_versions_run ON model_versions (run_id);
CREATE INDEX model_versions_digest ON model_versions (digest);
CREATE TABLE model_version_tags (
    version_id INTEGER NOT NULL REFERENCES model_versions (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (version_id, key)
) WITHOUT ROWID;
-- The package of a version as it was when its digest was taken: later uploads to the same place do not change it.
CREATE TABLE model_version_files (
    version_id INTEGER NOT NULL REFERENCES model_versions (id),
    path TEXT NOT NULL,
    artifact_path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (version_id, path)
) WITHOUT ROWID;
CREATE INDEX model_version_files_artifact ON model_version_files (artifact_path);
CREATE TABLE model_aliases (
    model INTEGER NOT NULL REFERENCES registered_models (id),
    alias TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (model, alias)
) WITHOUT ROWID;
-- Who moved which alias when; NULL: it pointed, or points, nowhere.
CREATE TABLE model_alias_history (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    model_name TEXT NOT NULL,
    alias TEXT NOT NULL,
    from_version INTEGER,
    to_version INTEGER,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX model_alias_history_model ON model_alias_history (model_name, alias, id);

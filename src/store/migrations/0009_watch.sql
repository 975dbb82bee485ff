-- SPDX-License-Identifier: Apache-2.0
-- What is watched and how (watch/config.h), how far the watcher has read the prediction log (watch/watcher.h), what it found in
-- each window of an endpoint, and the alerts (watch/alerts.h).

CREATE TABLE watch_configs (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    project TEXT NOT NULL,
    folder TEXT NOT NULL,
    endpoints TEXT NOT NULL,
    sections TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, project)
);

-- A place in the prediction log (serve/marks.h): 'log' is done by everyone; 'window:ENDPOINT:VERSION' is where the open window of
-- that version begins.
CREATE TABLE watch_cursors (
    name TEXT NOT NULL PRIMARY KEY,
    place TEXT NOT NULL,
    updated_us INTEGER NOT NULL
);

CREATE TABLE drift_windows (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    endpoint TEXT NOT NULL,
    number INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    version TEXT NOT NULL,
    n_rows INTEGER NOT NULL,
    from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL,
    dataset_drift INTEGER NOT NULL CHECK (dataset_drift IN (0, 1)),
    share REAL,
    cause TEXT,
    result TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (workspace_id, endpoint, number)
);

-- What windows are held against where the model's package does not say it: kind 'window': a profile made of the first window;
-- kind 'rules': how often the rules (key: their digest) hit in the first windows without drift.
CREATE TABLE drift_references (
    endpoint TEXT NOT NULL,
    version TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('window', 'rules')),
    key TEXT NOT NULL,
    data TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (endpoint, version, kind, key)
);

CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    kind TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('firing', 'cleared')),
    text TEXT NOT NULL,
    data TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    cleared_us INTEGER,
    cleared_by TEXT,
    acknowledged_us INTEGER,
    acknowledged_by TEXT,
    acknowledge_reason TEXT
);
CREATE UNIQUE INDEX alerts_firing ON alerts (workspace_id, kind, endpoint, subject) WHERE state = 'firing';
CREATE INDEX alerts_created ON alerts (created_us);

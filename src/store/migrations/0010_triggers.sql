-- SPDX-License-Identifier: Apache-2.0
-- Triggers and the jobs that they start (flow/trigger.h, flow/job.h), and what a pipeline run is called, which job it belongs to
-- and where it runs (its host and the folder whose run.lock it holds).

ALTER TABLE flow_runs ADD COLUMN name TEXT;
ALTER TABLE flow_runs ADD COLUMN job TEXT;
ALTER TABLE flow_runs ADD COLUMN place TEXT;
CREATE INDEX flow_runs_place ON flow_runs (place, status);
CREATE INDEX flow_runs_job ON flow_runs (job);

CREATE TABLE triggers (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    folder TEXT NOT NULL,
    spec TEXT NOT NULL,
    on_kind TEXT NOT NULL,
    from_file INTEGER NOT NULL CHECK (from_file IN (0, 1)),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    pending INTEGER NOT NULL,
    deferred INTEGER NOT NULL CHECK (deferred IN (0, 1)),
    fired_us INTEGER,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    UNIQUE (workspace_id, project, name)
);
CREATE INDEX triggers_on ON triggers (on_kind, enabled);

-- Up to which event the triggers have looked.
CREATE TABLE trigger_cursor (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
);
INSERT INTO trigger_cursor (id, seq) SELECT 1, COALESCE(MAX(seq), 0) FROM events;

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    trigger_id TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    project TEXT NOT NULL,
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    dedupe_key TEXT NOT NULL UNIQUE,
    event_seq INTEGER,
    reason TEXT,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'waiting_approval', 'done', 'failed', 'refused', 'cancelled')),
    step TEXT NOT NULL CHECK (step IN ('run', 'version', 'gate', 'approval', 'deploy', 'end')),
    attempt INTEGER NOT NULL,
    pid INTEGER,
    pid_start INTEGER,
    lease_until_us INTEGER,
    cancel_asked INTEGER NOT NULL CHECK (cancel_asked IN (0, 1)),
    flow_run TEXT,
    model TEXT,
    version INTEGER,
    digest TEXT,
    verdict TEXT,
    approval TEXT,
    revision INTEGER,
    error TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    started_us INTEGER,
    ended_us INTEGER
);
CREATE INDEX jobs_project ON jobs (project, created_us);
CREATE INDEX jobs_state ON jobs (state);
-- One open job a trigger.
CREATE UNIQUE INDEX jobs_open ON jobs (trigger_id) WHERE state IN ('queued', 'running', 'waiting_approval');

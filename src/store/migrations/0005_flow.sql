-- SPDX-License-Identifier: Apache-2.0
-- Pipeline runs and their steps (flow/records.h). Lists of inputs and outputs are JSON: they are read whole, never searched.

CREATE TABLE flow_runs (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    project TEXT NOT NULL,
    folder TEXT NOT NULL,
    code_revision TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed', 'cancelled')),
    targets TEXT NOT NULL,
    error TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    ended_us INTEGER
);
CREATE INDEX flow_runs_project ON flow_runs (project, created_us);

CREATE TABLE flow_steps (
    run_id TEXT NOT NULL REFERENCES flow_runs (id),
    stage TEXT NOT NULL,
    position INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'done', 'unchanged', 'frozen', 'failed', 'cancelled',
                                           'not_run')),
    why TEXT,
    cmd TEXT NOT NULL,
    exit_code INTEGER NOT NULL,
    started_us INTEGER,
    ended_us INTEGER,
    log TEXT,
    error TEXT,
    deps TEXT NOT NULL,
    params TEXT NOT NULL,
    outs TEXT NOT NULL,
    PRIMARY KEY (run_id, stage)
);

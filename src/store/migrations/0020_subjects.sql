-- SPDX-License-Identifier: Apache-2.0
-- Erasures of people's data (store/erasures.h). subject_hash: a keyed hash of the id, so that the id itself is not kept. dataset:
-- only from that one. possible: also where no column is said to identify people. A version
-- whose bytes were erased has dataset_versions.gone_us, gone_why 'erased', and which erasure took how many of its rows.

ALTER TABLE dataset_versions ADD COLUMN erasure_id TEXT;
ALTER TABLE dataset_versions ADD COLUMN erased_rows INTEGER;

CREATE TABLE erasures (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    subject_hash TEXT NOT NULL,
    reason TEXT NOT NULL,
    dataset TEXT,
    possible INTEGER NOT NULL CHECK (possible IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ('running', 'done')),
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    done_us INTEGER
);
CREATE INDEX erasures_subject ON erasures (subject_hash, created_us);

-- What was taken out, and how much of it: kind 'dataset', 'prediction', 'review', 'feedback', 'letters', 'artifact', 'file', 'dvc',
-- 'remote', 'cache'.
CREATE TABLE erasure_items (
    erasure_id TEXT NOT NULL REFERENCES erasures (id),
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (erasure_id, kind, item)
);

-- What must not be erased for now. target: a subject_hash, or the name of a dataset. released_us NULL: it holds.
CREATE TABLE legal_holds (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    kind TEXT NOT NULL CHECK (kind IN ('subject', 'dataset')),
    target TEXT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    released_us INTEGER,
    released_by TEXT,
    release_reason TEXT
);
CREATE INDEX legal_holds_target ON legal_holds (target, released_us);

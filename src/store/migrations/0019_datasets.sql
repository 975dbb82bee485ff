-- SPDX-License-Identifier: Apache-2.0
-- The dataset registry (data/dataset.h): tags, descriptions, statistics, deletion; dead letters of uploads (data/letters.h).

-- statistics_sha256: an object, gyre.statistics/1. base_version: what dead letters were replayed into. deleted_us: a mark that
-- can be taken back. gone_us: the bytes were given up; the row stays, so that a number never means other bytes; gone_why:
-- 'purged' (the same bytes may come back) or another word.
ALTER TABLE dataset_versions ADD COLUMN statistics_sha256 TEXT;
ALTER TABLE dataset_versions ADD COLUMN base_version INTEGER;
ALTER TABLE dataset_versions ADD COLUMN deleted_us INTEGER;
ALTER TABLE dataset_versions ADD COLUMN deleted_by TEXT;
ALTER TABLE dataset_versions ADD COLUMN gone_us INTEGER;
ALTER TABLE dataset_versions ADD COLUMN gone_why TEXT;

-- What is said of a dataset as a whole. A dataset without a row has said nothing.
CREATE TABLE datasets (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    description TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, name)
);

-- A tag names one version of its dataset. Each change is kept: from_version NULL: set first; to_version NULL: taken off.
CREATE TABLE dataset_tags (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    tag TEXT NOT NULL,
    version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, name, tag)
);
CREATE INDEX dataset_tags_version ON dataset_tags (workspace_id, name, version);
CREATE TABLE dataset_tag_changes (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    tag TEXT NOT NULL,
    from_version INTEGER,
    to_version INTEGER,
    reason TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX dataset_tag_changes_name ON dataset_tag_changes (workspace_id, name, id);

-- Records that uploads did not accept. id: of the upload's bytes and the place in them, so that the same file sent again has the
-- same letters. codes: ",RANGE,UNIQUE,". letter: the JSON line (data/deadletter.h). version: what the upload became.
-- replayed_version: what it came into; set once, in the transaction that makes that version.
CREATE TABLE dataset_letters (
    seq INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    codes TEXT NOT NULL,
    letter TEXT NOT NULL,
    refusals INTEGER NOT NULL DEFAULT 0,
    replayed_version INTEGER,
    replayed_by TEXT,
    replayed_us INTEGER,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (workspace_id, name, id)
);
CREATE INDEX dataset_letters_name ON dataset_letters (workspace_id, name, seq);

-- SPDX-License-Identifier: Apache-2.0
-- How far the sources of a dataset were read (data/taken.h), changed in the transaction that makes the version.

-- watermark: of a query, the column's value in the last row that was taken. version: the one that holds it.
CREATE TABLE dataset_sources (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    watermark TEXT,
    version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, name, source)
);

-- Files and objects that were taken as a whole. mark: what tells one content from another.
CREATE TABLE dataset_source_objects (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    object TEXT NOT NULL,
    mark TEXT NOT NULL,
    version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, name, source, object)
);

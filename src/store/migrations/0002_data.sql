-- SPDX-License-Identifier: Apache-2.0
-- Dataset versions (data/dataset.h): a name counts its versions from 1; the same bytes under one name are one version. The
-- bytes are the object sha256.

CREATE TABLE dataset_versions (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    sha256 TEXT NOT NULL,
    md5 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    read_count INTEGER NOT NULL,
    accepted_count INTEGER NOT NULL,
    dead_count INTEGER NOT NULL,
    schema_json TEXT,
    source TEXT,
    source_sha256 TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, name, version),
    UNIQUE (workspace_id, name, sha256),
    CHECK (accepted_count + dead_count = read_count)
);
CREATE INDEX dataset_versions_sha256 ON dataset_versions (sha256);

-- SPDX-License-Identifier: Apache-2.0
-- Artifacts get a tree for each workspace; uploads in parts.

ALTER TABLE artifacts RENAME TO artifacts_before_0014;
CREATE TABLE artifacts (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, path)
) WITHOUT ROWID;
INSERT INTO artifacts (workspace_id, path, sha256, size_bytes, actor, created_us)
SELECT workspace_id, path, sha256, size_bytes, actor, created_us FROM artifacts_before_0014;
DROP TABLE artifacts_before_0014;
CREATE INDEX artifacts_object ON artifacts (sha256);

-- A file on its way in parts. Its row stays until it expires, so that a completion that is asked for again finds what came of it.
CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    path TEXT NOT NULL,
    n_parts INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'completed', 'aborted')),
    sha256 TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL
);
CREATE INDEX uploads_expires ON uploads (expires_us);
CREATE INDEX uploads_workspace ON uploads (workspace_id, state);
-- What came in for a part, as often as it came: sha256 names the object, which holds a line of our own before the part's bytes
-- so that no other object can be the same, and which goes away with its row.
CREATE TABLE upload_parts (
    upload_id TEXT NOT NULL REFERENCES uploads (id),
    part INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (upload_id, part, sha256)
) WITHOUT ROWID;
CREATE INDEX upload_parts_object ON upload_parts (sha256);
-- The key that signs where parts may be put to: the same for every server on this database.
CREATE TABLE upload_keys (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    secret TEXT NOT NULL,
    created_us INTEGER NOT NULL
);

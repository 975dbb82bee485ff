-- SPDX-License-Identifier: Apache-2.0
-- What is served. A revision is never changed: a deploy adds one, a rollback adds a copy of an earlier one.

-- revision: the one that is served, 0 when the endpoint was undeployed.
CREATE TABLE endpoints (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, name)
);

-- config: everything that decides an answer besides the package: rules, mappings, threshold, columns (JSON).
CREATE TABLE endpoint_revisions (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    endpoint TEXT NOT NULL,
    revision INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('deploy', 'rollback')),
    model_name TEXT NOT NULL,
    model_version INTEGER NOT NULL,
    model_digest TEXT NOT NULL,
    run_id TEXT,
    config TEXT NOT NULL,
    gated INTEGER NOT NULL CHECK (gated IN (0, 1)),
    verdict_id TEXT,
    copied_from INTEGER,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, endpoint, revision)
);
CREATE INDEX endpoint_revisions_model ON endpoint_revisions (model_name, model_version);

-- SPDX-License-Identifier: Apache-2.0
-- The tables that all rooms share. Conventions of every root table: workspace_id (one 'default' for now), actor (who), created_us
-- (UTC microseconds since 1970). Text is UTF-8, flags are INTEGER 0/1, JSON is TEXT.

CREATE TABLE workspaces (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
INSERT INTO workspaces (id, name, actor, created_us) VALUES ('default', 'default', 'gyre', 0);

-- An edge from cause to effect; nodes are "kind:id" (store/lineage.h).
CREATE TABLE lineage (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    from_node TEXT NOT NULL,
    rel TEXT NOT NULL,
    to_node TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (from_node, rel, to_node)
);
CREATE INDEX lineage_to ON lineage (to_node);

-- What happened, numbered in commit order.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor TEXT NOT NULL,
    data TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX events_kind ON events (kind, seq);

-- What a gate found for the package with this digest; never changed, the newest counts.
CREATE TABLE verdicts (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    model_digest TEXT NOT NULL,
    model_name TEXT NOT NULL,
    model_version TEXT NOT NULL,
    gate TEXT NOT NULL,
    blessed INTEGER NOT NULL CHECK (blessed IN (0, 1)),
    checks TEXT NOT NULL,
    champion_digest TEXT,
    data_sha256 TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX verdicts_digest ON verdicts (model_digest, created_us);

CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    model_digest TEXT NOT NULL,
    model_name TEXT NOT NULL,
    model_version TEXT NOT NULL,
    gate TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('requested', 'approved', 'rejected')),
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    decided_by TEXT,
    decided_us INTEGER,
    reason TEXT
);
CREATE INDEX approvals_digest ON approvals (model_digest, created_us);

-- Aliases that move only to versions which their gate has blessed.
CREATE TABLE protected_aliases (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    gate TEXT NOT NULL,
    needs_approval INTEGER NOT NULL CHECK (needs_approval IN (0, 1)),
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, model, alias)
);

-- SPDX-License-Identifier: Apache-2.0
-- Rollouts: revisions that only change who answers, and why a revision was made. SQLite can not change a CHECK: the table is made anew.

CREATE TABLE endpoint_revisions_new (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    endpoint TEXT NOT NULL,
    revision INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('deploy', 'rollback', 'canary', 'shadow', 'promote', 'traffic')),
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
    reason TEXT,
    PRIMARY KEY (workspace_id, endpoint, revision)
);
INSERT INTO endpoint_revisions_new (workspace_id, endpoint, revision, kind, model_name, model_version, model_digest, run_id, config,
    gated, verdict_id, copied_from, actor, created_us)
SELECT workspace_id, endpoint, revision, kind, model_name, model_version, model_digest, run_id, config, gated, verdict_id, copied_from,
    actor, created_us FROM endpoint_revisions;
DROP TABLE endpoint_revisions;
ALTER TABLE endpoint_revisions_new RENAME TO endpoint_revisions;
CREATE INDEX endpoint_revisions_model ON endpoint_revisions (model_name, model_version);

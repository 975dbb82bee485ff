-- SPDX-License-Identifier: Apache-2.0
-- What retention removed of the prediction log (serve/prune.h): a row for each stream of records and prune. least_id, greatest_id:
-- of the prediction ids, 32 hexadecimal digits. why: 'age', 'size' or both.

CREATE TABLE log_pruned (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    boot TEXT NOT NULL,
    ring INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    first_number INTEGER NOT NULL,
    last_number INTEGER NOT NULL,
    segments INTEGER NOT NULL,
    records INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    least_id TEXT NOT NULL,
    greatest_id TEXT NOT NULL,
    from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL,
    why TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (boot, ring, last_seq)
);
CREATE INDEX log_pruned_ids ON log_pruned (greatest_id);
CREATE INDEX log_pruned_time ON log_pruned (created_us);

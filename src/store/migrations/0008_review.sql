-- SPDX-License-Identifier: Apache-2.0
-- The review queue (watch/review.h) and webhooks (watch/webhook.h).

-- One row of one prediction that a person is to judge. It keeps its inputs, so that a review outlives the prediction log.
-- margin: how near the model was to another answer; 1e9 when that is not known, so that such rows come last.
-- probability: the chance that the policy picks such a row, what metrics are weighted by; NULL: a person picked it.
-- agrees, verdict, reviewer: NULL until decided. inputs, policy and tags are JSON.
CREATE TABLE reviews (
    prediction_id TEXT NOT NULL,
    row INTEGER NOT NULL,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    endpoint TEXT NOT NULL,
    revision INTEGER NOT NULL,
    model_version TEXT NOT NULL,
    request_id TEXT NOT NULL,
    request_rows INTEGER NOT NULL,
    predicted TEXT NOT NULL,
    score REAL,
    margin REAL NOT NULL,
    rule TEXT,
    rule_reason TEXT,
    inputs TEXT NOT NULL,
    policy TEXT NOT NULL,
    picked_by TEXT NOT NULL CHECK (picked_by IN ('all', 'sample', 'uncertain', 'rule', 'person')),
    probability REAL,
    blind INTEGER NOT NULL CHECK (blind IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ('open', 'assigned', 'done')),
    assignee TEXT,
    verdict TEXT,
    agrees INTEGER CHECK (agrees IN (0, 1)),
    reason TEXT,
    tags TEXT,
    simulated INTEGER NOT NULL DEFAULT 0 CHECK (simulated IN (0, 1)),
    reviewer TEXT,
    predicted_us INTEGER NOT NULL,
    assigned_us INTEGER,
    decided_us INTEGER,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (prediction_id, row)
) WITHOUT ROWID;
CREATE INDEX reviews_state ON reviews (state, prediction_id, row);
CREATE INDEX reviews_margin ON reviews (state, margin, prediction_id, row);

-- What stands in the queue of an endpoint, counted in the transactions that change it. skipped: rows that the policy picked
-- while the queue was full.
CREATE TABLE review_queues (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    endpoint TEXT NOT NULL,
    open INTEGER NOT NULL DEFAULT 0,
    assigned INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    agreed INTEGER NOT NULL DEFAULT 0,
    simulated INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, endpoint)
);

-- Who is told of which events (a JSON list of kinds). seen: the number of the last event that was looked at, so the events
-- themselves are the queue. The secret is not here: only where it is read from.
CREATE TABLE webhooks (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    secret_env TEXT,
    secret_file TEXT,
    seen INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, url)
);

-- Messages on their way; one that was delivered is gone from here.
CREATE TABLE webhook_outbox (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    url TEXT NOT NULL,
    seq INTEGER NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'failed')),
    attempts INTEGER NOT NULL,
    next_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (url, seq)
);
CREATE INDEX webhook_outbox_next ON webhook_outbox (state, next_us);

-- SPDX-License-Identifier: Apache-2.0
-- The registry for operations: why things moved, model cards, use cases, comments, and who may not approve.

-- action: 'promoted', 'rolled_back', 'moved' (an MLflow client), 'removed'; NULL in rows of before.
ALTER TABLE model_alias_history ADD COLUMN reason TEXT;
ALTER TABLE model_alias_history ADD COLUMN action TEXT;

-- What else happened to a model or a version, beside the moves of its aliases: 'stage', 'renamed', 'deleted'.
CREATE TABLE model_changes (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    model_name TEXT NOT NULL,
    version INTEGER,
    kind TEXT NOT NULL CHECK (kind IN ('stage', 'renamed', 'deleted')),
    from_value TEXT,
    to_value TEXT,
    reason TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX model_changes_model ON model_changes (workspace_id, model_name, id);

-- Every version of every card (track/cards.h): what people state, and the whole card as it was then. gone_us: the model was
-- deleted; a new one of that name starts without cards.
CREATE TABLE model_cards (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    model_name TEXT NOT NULL,
    version INTEGER NOT NULL,
    number INTEGER NOT NULL,
    stated TEXT NOT NULL,
    card TEXT NOT NULL,
    reason TEXT,
    gone_us INTEGER NOT NULL DEFAULT 0,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (workspace_id, model_name, version, gone_us, number)
);

-- Use cases (track/usecases.h): the newest state here, every change below.
CREATE TABLE use_cases (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('draft', 'requested', 'approved', 'rejected', 'retired')),
    four_eyes INTEGER NOT NULL CHECK (four_eyes IN (0, 1)),
    spec TEXT NOT NULL,
    requested_by TEXT,
    decided_by TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, name)
);
CREATE TABLE use_case_changes (
    id INTEGER PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('applied', 'requested', 'approved', 'rejected', 'retired', 'attached', 'detached')),
    state TEXT NOT NULL,
    spec TEXT,
    model_name TEXT,
    reason TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX use_case_changes_name ON use_case_changes (workspace_id, name, id);
-- A model belongs to one use case at most.
CREATE TABLE use_case_models (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    model_name TEXT NOT NULL,
    use_case TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, model_name)
);
CREATE INDEX use_case_models_case ON use_case_models (workspace_id, use_case);

-- Comments on runs and versions (track/comments.h): every text that a comment ever had is kept.
CREATE TABLE comments (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    subject TEXT NOT NULL,
    n_texts INTEGER NOT NULL,
    gone_us INTEGER NOT NULL DEFAULT 0,
    deleted_by TEXT,
    deleted_us INTEGER,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX comments_subject ON comments (workspace_id, subject, created_us);
CREATE TABLE comment_texts (
    comment_id TEXT NOT NULL REFERENCES comments (id),
    number INTEGER NOT NULL,
    body TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (comment_id, number)
);

-- Who asks for an approval may not give it.
ALTER TABLE protected_aliases ADD COLUMN four_eyes INTEGER NOT NULL DEFAULT 0 CHECK (four_eyes IN (0, 1));

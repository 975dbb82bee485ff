-- SPDX-License-Identifier: Apache-2.0
-- Who may do what, and who did what. Passwords are argon2id texts (libsodium crypto_pwhash_str); of a token only its SHA-256 is
-- kept: it has 256 random bits, so that a fast digest can not be searched.

CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    service INTEGER NOT NULL DEFAULT 0 CHECK (service IN (0, 1)),
    disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    from_file INTEGER NOT NULL DEFAULT 0 CHECK (from_file IN (0, 1)),
    password_hash TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    last_login_us INTEGER
);

-- workspace '*' is every workspace, those to come too; so there is no foreign key.
CREATE TABLE grants (
    user_name TEXT NOT NULL REFERENCES users (name),
    workspace TEXT NOT NULL,
    role INTEGER NOT NULL CHECK (role BETWEEN 1 AND 4),
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (user_name, workspace)
);
CREATE INDEX grants_workspace ON grants (workspace);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES users (name),
    sha256 TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    label TEXT NOT NULL,
    from_file INTEGER NOT NULL DEFAULT 0 CHECK (from_file IN (0, 1)),
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER,
    revoked_us INTEGER,
    revoked_by TEXT,
    last_used_us INTEGER
);
CREATE INDEX tokens_user ON tokens (user_name, created_us);

-- Moves with every change of users, grants, tokens and workspaces: what servers remember of them is void then.
CREATE TABLE identity_state (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL
);
INSERT INTO identity_state (id, generation) VALUES (1, 1);

-- Append-only; hash is the SHA-256 over the hash before and the row (store/audit.h).
CREATE TABLE audit (
    seq INTEGER NOT NULL PRIMARY KEY,
    time_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    workspace TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    request_id TEXT NOT NULL,
    peer TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_time ON audit (time_us);
CREATE INDEX audit_actor ON audit (actor, seq);

-- The end of the chain. Writers of several servers queue on its one row.
CREATE TABLE audit_head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash)
    VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

ALTER TABLE workspaces ADD COLUMN description TEXT;
-- The row stays, for events and edges that name it; its name is not given again.
ALTER TABLE workspaces ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;

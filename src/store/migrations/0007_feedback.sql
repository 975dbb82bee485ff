-- SPDX-License-Identifier: Apache-2.0
-- What was learned about predictions after they were answered (watch/feedback.h). One row is one piece; none is ever changed or
-- taken away by a later one: which label counts is decided when it is read.

-- target: the 16 bytes of a prediction_id (by_request 0), or the caller's request id as text (by_request 1). Prediction ids
-- grow with time, so feedback that comes in their order is appended. row_no: the row of the request. label '': only a reward.
CREATE TABLE feedback (
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    by_request INTEGER NOT NULL CHECK (by_request IN (0, 1)),
    target BLOB NOT NULL,
    row_no INTEGER NOT NULL,
    source TEXT NOT NULL,
    given_us INTEGER NOT NULL,
    label TEXT NOT NULL,
    reward REAL,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    info TEXT NOT NULL,
    PRIMARY KEY (by_request, target, row_no, source, given_us, label)
) WITHOUT ROWID;

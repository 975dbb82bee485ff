-- SPDX-License-Identifier: Apache-2.0
-- What people say is wrong with a prediction (watch/problem.h): stakeholders, clients, anybody who may ask for predictions.
-- The row stands in the review queue too, where it is judged; what was said stays here.
CREATE TABLE problems (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
    prediction_id TEXT NOT NULL,
    row INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    reason TEXT NOT NULL,
    text TEXT,
    actor TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX problems_prediction ON problems (prediction_id, row, id);

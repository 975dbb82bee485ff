-- SPDX-License-Identifier: Apache-2.0
-- Indexes that searches over runs walk (track/run_search.c). A run that says no start counts as started at 0, as it does for
-- MLflow's clients. Values of params and tags may be long: an index has their first 64 characters.

DROP INDEX runs_experiment;
CREATE INDEX runs_experiment ON runs (experiment_id, deleted, (COALESCE(start_ms, 0)) DESC, id);
CREATE INDEX runs_start ON runs ((COALESCE(start_ms, 0)) DESC, id);
CREATE INDEX runs_end ON runs (end_ms);
CREATE INDEX runs_name ON runs (substr(name, 1, 64));
CREATE INDEX runs_status ON runs (status, (COALESCE(start_ms, 0)) DESC, id);
CREATE INDEX runs_user ON runs (user_id, (COALESCE(start_ms, 0)) DESC, id);
CREATE INDEX run_params_value ON run_params (key, substr(value, 1, 64), run);
CREATE INDEX run_tags_value ON run_tags (key, substr(value, 1, 64), run);
CREATE INDEX latest_metrics_value ON latest_metrics (key, is_nan, value, run);

-- Points of a history by step. latest_metrics.step is the greatest step of a key; beside it the least one and how many different
-- ones there are (-1: not known), which tells a history without gaps from one with gaps without reading it.
CREATE INDEX metrics_step ON metrics (run, key, step);
ALTER TABLE latest_metrics ADD COLUMN first_step INTEGER NOT NULL DEFAULT 0;
ALTER TABLE latest_metrics ADD COLUMN n_steps INTEGER NOT NULL DEFAULT -1;
UPDATE latest_metrics SET
    first_step = COALESCE((SELECT MIN(m.step) FROM metrics m WHERE m.run = latest_metrics.run AND m.key = latest_metrics.key), 0),
    n_steps = (SELECT COUNT(DISTINCT m.step) FROM metrics m WHERE m.run = latest_metrics.run AND m.key = latest_metrics.key);

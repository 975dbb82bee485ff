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

-- Points of a history by step, which is the order in which most are written, read and sampled. Beside the latest point of a key (greatest by step,
-- time and value): the least step, the time of the first point, and how many different steps there are while both steps and times come
-- in order (-1: they do not, or nobody knows). Then the order by step is the order by time, and a history without gaps is told without reading it.
CREATE TABLE metrics_by_step (
    run INTEGER NOT NULL,
    key INTEGER NOT NULL,
    step INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (run, key, step, ts_ms, value, is_nan)
) WITHOUT ROWID;
INSERT INTO metrics_by_step (run, key, step, ts_ms, value, is_nan)
    SELECT run, key, step, ts_ms, value, is_nan FROM metrics ORDER BY run, key, step, ts_ms, value, is_nan;
DROP TABLE metrics;
ALTER TABLE metrics_by_step RENAME TO metrics;

CREATE TABLE metric_orders (
    run INTEGER NOT NULL,
    key INTEGER NOT NULL,
    first_step INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    n_steps INTEGER NOT NULL,
    n_back INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
INSERT INTO metric_orders (run, key, first_step, first_ms, n_steps, n_back)
    SELECT run, key, MIN(step), MIN(ts_ms), COUNT(DISTINCT step), SUM(CASE WHEN came > ts_ms THEN 1 ELSE 0 END) FROM (
        SELECT run, key, step, ts_ms, LAG(ts_ms) OVER (PARTITION BY run, key ORDER BY step, ts_ms, value, is_nan) AS came FROM metrics
    ) points GROUP BY run, key;
CREATE TABLE latest_by_order (
    run INTEGER NOT NULL,
    key INTEGER NOT NULL,
    step INTEGER NOT NULL,
    ts_ms INTEGER NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    first_step INTEGER NOT NULL DEFAULT 0,
    first_ms INTEGER NOT NULL DEFAULT 0,
    n_steps INTEGER NOT NULL DEFAULT -1,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;
INSERT INTO latest_by_order (run, key, step, ts_ms, value, is_nan, first_step, first_ms, n_steps)
    SELECT l.run, l.key, l.step, l.ts_ms, l.value, l.is_nan, COALESCE(o.first_step, 0), COALESCE(o.first_ms, 0),
        CASE WHEN o.n_back = 0 THEN o.n_steps ELSE -1 END
    FROM latest_metrics l LEFT JOIN metric_orders o ON o.run = l.run AND o.key = l.key ORDER BY l.run, l.key;
DROP TABLE metric_orders;
DROP TABLE latest_metrics;
ALTER TABLE latest_by_order RENAME TO latest_metrics;
CREATE INDEX latest_metrics_value ON latest_metrics (key, is_nan, value, run);

-- SPDX-License-Identifier: Apache-2.0
-- When something was deleted (track/purge.h). NULL of what is deleted: before this was written down.

ALTER TABLE runs ADD COLUMN deleted_us INTEGER;
ALTER TABLE experiments ADD COLUMN deleted_us INTEGER;
ALTER TABLE logged_models ADD COLUMN deleted_us INTEGER;
CREATE INDEX runs_deleted ON runs (deleted, deleted_us);

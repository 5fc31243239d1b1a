-- The task database, version 2: who made a task, and what was done to tasks and types afterwards.

ALTER TABLE tasks ADD COLUMN created_by TEXT;
CREATE INDEX tasks_by_creator ON tasks (created_by, id) WHERE created_by IS NOT NULL;

ALTER TABLE paused_task_types ADD COLUMN paused_by TEXT;
ALTER TABLE paused_task_types ADD COLUMN paused_at_us INTEGER;

-- Without a task: what was done to a type; without a type too: to tasks of every type.
CREATE TABLE task_actions (
    id INTEGER PRIMARY KEY,
    task_id INTEGER,
    type TEXT,
    action TEXT NOT NULL CHECK (action IN ('CANCEL', 'RETRY', 'EDIT', 'PAUSE', 'RESUME', 'PRUNE')),
    "by" TEXT,
    at_us INTEGER NOT NULL,
    CHECK (task_id IS NULL OR type IS NOT NULL)
) STRICT;
CREATE INDEX task_actions_of_task ON task_actions (task_id, id);
CREATE INDEX task_actions_by_name ON task_actions ("by", id);

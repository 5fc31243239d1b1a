"""The notification service: what it does with every kind of result, and while Redis is away."""

import json

from server_process import free_port, wait_until
from stack_parts import REPORT, Parts, health, metric, published

from afterwrite.jobs.broker import FROM_QUEUE, REASON, RESULTS
from afterwrite.jobs.messages import COMPLETED, FAILED


def test_a_result_that_comes_twice_ends_the_job_once(parts: Parts) -> None:
    server, notification = parts.server(RUN_WORKERS="on").start(), parts.notification().start()
    job, task_id = published(parts, server)
    with parts.runs() as runs:
        runs.end(job, REPORT, [])
    for _ in range(3):
        parts.tell(job, task_id, COMPLETED)
    shown = parts.reaches(server, job, "COMPLETED")
    assert shown["result"] == REPORT
    wait_until(lambda: metric(notification, 'afterwrite_messages_total{outcome="dropped"') == 2)
    assert metric(notification, 'afterwrite_messages_total{outcome="recorded"') == 1
    parts.receiver.wait()
    deliveries = parts.fleet.rows("SELECT count(*) FROM afterwrite.tasks WHERE type = 'webhook_delivery'")
    assert deliveries == [(1,)]


def test_the_callback_url_comes_from_redis_or_from_the_task_if_redis_has_lost_it(parts: Parts) -> None:
    server = parts.server(RUN_WORKERS="on").start()
    parts.notification().start()
    jobs = [published(parts, server) for _ in range(2)]
    with parts.redis_client() as redis, parts.runs() as runs:
        keys = [f"{parts.prefix}afterwrite:callback:{job}" for job, _ in jobs]
        assert [redis.get(key) for key in keys] == [f"{parts.receiver.url}/called"] * 2
        redis.set(keys[0], f"{parts.receiver.url}/from-redis")
        redis.delete(keys[1])
        for job, task_id in jobs:
            runs.end(job, REPORT, [])
            parts.tell(job, task_id, COMPLETED)
    for _ in jobs:
        parts.receiver.wait()
    paths = {json.loads(post.body)["correlation_id"]: post.path for post in parts.receiver.posts}
    assert paths == {jobs[0][0]: "/from-redis", jobs[1][0]: "/called"}


def test_a_value_in_redis_that_is_no_text_costs_no_result(parts: Parts) -> None:
    server = parts.server(RUN_WORKERS="on").start()
    parts.notification().start()
    job, task_id = published(parts, server)
    with parts.redis_client() as redis, parts.runs() as runs:
        redis.set(f"{parts.prefix}afterwrite:callback:{job}", b"\xff\xfe")
        runs.end(job, REPORT, [])
        parts.tell(job, task_id, COMPLETED)
    parts.receiver.wait()
    assert [post.path for post in parts.receiver.posts] == ["/called"]
    assert parts.messages() == []


def test_results_are_told_while_redis_is_away(parts: Parts) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    server, notification = parts.server(REDIS_URL=away).start(), parts.notification(REDIS_URL=away).start()
    job, task_id = published(parts, server)
    assert health(notification)["stack"]["redis"] == {"status": "away"}
    with parts.runs() as runs:
        runs.end(job, REPORT, [])
    parts.tell(job, task_id, COMPLETED)
    parts.receiver.wait()
    assert health(notification)["status"] == "degraded"


def test_a_result_that_nobody_waits_for_changes_nothing(parts: Parts) -> None:
    server, notification = parts.server().start(), parts.notification().start()
    job, task_id = published(parts, server)
    server.query(f'mutation {{ cancelTask(id: "{task_id}") {{ id }} }}')
    entry = server.query('mutation { createEntry(title: "mine") { id } }')["createEntry"]["id"]
    other, other_id = published(parts, server)
    with parts.runs() as runs:
        runs.end(job, REPORT, [])
    parts.tell(job, task_id, COMPLETED)  # it was cancelled
    parts.tell(job, int(entry), COMPLETED, f"task-{entry}")  # no process
    parts.tell(other, other_id, FAILED, "another-run")
    parts.tell("unheard-of", 987_654, FAILED)
    wait_until(lambda: metric(notification, 'afterwrite_messages_total{outcome="dropped"') == 4)
    assert parts.reaches(server, job, "CANCELLED")["result"] is not REPORT
    assert parts.reaches(server, other, "PUBLISHED")


def test_a_run_that_left_nothing_fails_its_job(parts: Parts) -> None:
    server = parts.server().start()
    parts.notification().start()
    job, task_id = published(parts, server)
    parts.tell(job, task_id, FAILED)
    assert parts.reaches(server, job, "FAILED")["error"]["code"] == "RUN_FAILED"
    # Tried again it is another run, and the old one's result is of no use.
    server.query(f'mutation {{ retryTask(id: "{task_id}") {{ id }} }}')
    asked = "SELECT 1 FROM afterwrite.process_runs WHERE run_id = %s"
    wait_until(lambda: parts.fleet.rows(asked, f"{job}-2"))
    parts.tell(job, task_id, FAILED)
    with parts.runs() as runs:
        runs.end(f"{job}-2", REPORT, [])
    parts.tell(job, task_id, COMPLETED, f"{job}-2")
    assert parts.reaches(server, job, "COMPLETED")["result"] == REPORT


def test_a_result_that_cannot_be_recorded_is_a_dead_letter_and_holds_up_no_other(parts: Parts) -> None:
    server = parts.server().start()
    jobs = [published(parts, server) for _ in range(2)]
    parts.fleet.rows("UPDATE afterwrite.process_runs SET ended_at = now(), error_code = 'X' RETURNING 1")
    with parts.fleet.connection() as connection:
        connection.execute(
            "CREATE FUNCTION afterwrite.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON afterwrite.tasks FOR EACH ROW "
            f"WHEN (NEW.id = {jobs[0][1]} AND NEW.status = 'FAILED') EXECUTE FUNCTION afterwrite.refuse()"
        )
    for job, task_id in jobs:
        parts.tell(job, task_id, FAILED)
    parts.notification().start()
    parts.reaches(server, jobs[1][0], "FAILED")
    [(headers, _)] = wait_until(parts.messages)
    assert "Recording it failed: RaiseException: no" in headers[REASON]
    assert (headers[FROM_QUEUE], headers["correlation_id"]) == (RESULTS, jobs[0][0])

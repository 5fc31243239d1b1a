"""A task moves as the table of allowed moves says, whatever becomes of it, in whatever order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from worker_runs import claimed, waiting_task

from afterwrite.tasks.task import (
    ALLOWED_MOVES,
    Cancelled,
    Completed,
    Failed,
    MoveNotAllowed,
    Outcome,
    Progress,
    StageDone,
    Stopped,
    Task,
    TaskError,
    TaskStatus,
    after,
    asked_again,
    asked_to_cancel,
)

SECOND = 1_000_000
GIVEN_ONCE = ("id", "type", "payload_json", "max_attempts", "priority", "correlation_id", "created_at_us")
STATUSES = list(TaskStatus)

errors = st.builds(TaskError, st.just("NO_LUCK"), st.just("It had no luck"), st.booleans())
delays = st.sampled_from((0.0, 0.5, 300.0))
results = st.none() | st.just('{"a": 1}')
stages = st.sampled_from(("STAGE_1", "STAGE_2"))
percents = st.integers(0, 100)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Completed, results),
    st.builds(StageDone, stages, percents, results, delays),
    st.builds(Failed, errors, st.none() | delays),
    st.just(Stopped()),
    st.just(Cancelled()),
    st.builds(Progress, percents, st.none() | stages),
)
GOES_BACK: list[Outcome] = [StageDone("STAGE_1", 33, None), Failed(TaskError("NO_LUCK", ""), 1.0), Stopped()]


def expected(task: Task, outcome: Outcome) -> TaskStatus:
    """The status that a task which is worked on has after an outcome."""
    match outcome:
        case Completed():
            return TaskStatus.COMPLETED
        case Failed(_, None):
            return TaskStatus.FAILED
        case Cancelled():
            return TaskStatus.CANCELLED
        case Progress():
            return TaskStatus.PROCESSING
    return TaskStatus.CANCELLED if task.cancel_asked else TaskStatus.PENDING


class TaskMoves(RuleBasedStateMachine):
    """Hypothesis chooses what becomes of one task."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000 * SECOND
        self.task = waiting_task(self.now)
        self.attempts = 0  # claims of this stage that count

    def move(self, task: Task) -> None:
        """Put a task in the place of the old one, as the store does, if the move is allowed."""
        before = self.task
        if task.status != before.status:
            assert TaskStatus(task.status) in ALLOWED_MOVES[TaskStatus(before.status)]
        assert [getattr(task, name) for name in GIVEN_ONCE] == [getattr(before, name) for name in GIVEN_ONCE]
        assert before.claim <= task.claim <= before.claim + 1
        assert before.renewals <= task.renewals <= before.renewals + 1
        assert task.updated_at_us == self.now
        begun_anew = task.renewals > before.renewals
        assert task.started_at_us == (None if begun_anew else before.started_at_us or task.started_at_us)
        self.task = task

    @rule(seconds=st.integers(0, 400))
    def let_time_pass(self, seconds: int) -> None:
        self.now += seconds * SECOND
        if self.task.status == TaskStatus.PENDING and self.task.run_at_us <= self.now:
            self.task = self.task._replace(ready=1)

    @precondition(lambda self: self.task.ready)
    @rule(worker=st.sampled_from(("process-1", "process-2")))
    def claim(self, worker: str) -> None:
        self.move(claimed(self.task, worker, self.now))
        self.attempts += 1

    @precondition(lambda self: self.task.status == TaskStatus.PROCESSING)
    @rule(outcome=outcomes)
    def record(self, outcome: Outcome) -> None:
        before = self.task
        self.move(after(before, outcome, self.now))
        assert self.task.status == expected(before, outcome)
        goes_on = self.task.status == TaskStatus.PENDING
        match outcome:
            case StageDone(stage, progress, result_json) if goes_on:
                assert (self.task.stage, self.task.progress) == (stage, progress)
                assert (self.task.result_json, self.task.error) == (result_json, None)
                self.attempts = 0
            case Stopped() if goes_on:
                assert self.task.error == before.error
                self.attempts -= 1
            case Failed(error):
                assert self.task.status == TaskStatus.CANCELLED or self.task.error == error
            case Completed(result_json):
                assert (self.task.progress, self.task.result_json) == (100, result_json)
            case Progress(percent, stage):
                assert (self.task.progress, self.task.stage) == (percent, stage or before.stage)
                assert self.task.locked_by == before.locked_by
                assert self.task.cancel_asked == before.cancel_asked

    @rule()
    def ask_to_cancel(self) -> None:
        before = self.task
        if before.has_ended:
            with pytest.raises(MoveNotAllowed):
                asked_to_cancel(before, self.now)
            return
        self.move(asked_to_cancel(before, self.now))
        if before.status == TaskStatus.PROCESSING:
            assert self.task == before._replace(cancel_asked=1, updated_at_us=self.now)
        else:
            assert self.task.status == TaskStatus.CANCELLED

    @precondition(lambda self: self.task.status != TaskStatus.PROCESSING)  # a test of its own below
    @rule()
    def ask_again(self) -> None:
        before = self.task
        if before.status not in (TaskStatus.FAILED, TaskStatus.CANCELLED):
            with pytest.raises(MoveNotAllowed):
                asked_again(before, self.now)
            return
        self.move(asked_again(before, self.now))
        self.attempts = 0
        assert (self.task.status, self.task.ready, self.task.error) == (TaskStatus.PENDING, 1, None)
        assert (self.task.stage, self.task.result_json) == (before.stage, before.result_json)
        assert self.task.renewals - before.renewals == before.error_is_final

    @invariant()
    def a_lock_is_whole_and_only_on_a_task_that_is_worked_on(self) -> None:
        is_worked_on = self.task.status == TaskStatus.PROCESSING
        assert (self.task.locked_by is not None) == (self.task.locked_at_us is not None) == is_worked_on
        assert is_worked_on or not self.task.cancel_asked

    @invariant()
    def only_a_task_that_has_ended_has_an_end(self) -> None:
        assert (self.task.finished_at_us is not None) == self.task.has_ended
        assert (self.task.finished_at_us or self.now) >= (self.task.started_at_us or 0)

    @invariant()
    def only_a_waiting_task_is_ready_and_none_before_its_time(self) -> None:
        if self.task.ready:
            assert self.task.status == TaskStatus.PENDING
            assert self.task.run_at_us <= self.now

    @invariant()
    def the_attempts_are_the_claims_of_this_stage(self) -> None:
        assert self.task.attempt == self.attempts >= 0

    @invariant()
    def a_completed_task_has_no_error_and_a_failed_one_has(self) -> None:
        if self.task.status == TaskStatus.COMPLETED:
            assert (self.task.error, self.task.error_is_final) == (None, 0)
        if self.task.status == TaskStatus.FAILED:
            assert self.task.error is not None


TestTaskMoves = TaskMoves.TestCase
TestTaskMoves.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def standing(status: TaskStatus) -> Task:
    """A task with a status, as the moves above give it."""
    now = 1_000 * SECOND
    held = claimed(waiting_task(now), "process-1", now)
    return {
        TaskStatus.PENDING: waiting_task(now),
        TaskStatus.PROCESSING: held,
        TaskStatus.COMPLETED: after(held, Completed(None), now),
        TaskStatus.FAILED: after(held, Failed(TaskError("NO_LUCK", ""), None), now),
        TaskStatus.CANCELLED: after(held, Cancelled(), now),
    }[status]


@pytest.mark.parametrize("outcome", GOES_BACK, ids=lambda outcome: type(outcome).__name__)
def test_a_cancel_that_comes_while_the_work_ends_is_not_forgotten(outcome: Outcome) -> None:
    asked = asked_to_cancel(standing(TaskStatus.PROCESSING), 1_001 * SECOND)
    assert after(asked, outcome, 1_002 * SECOND).status == TaskStatus.CANCELLED


@pytest.mark.parametrize("outcome", [Completed("1"), Failed(TaskError("NO_LUCK", "", final=True), None)])
def test_work_that_ended_before_it_heard_of_a_cancel_keeps_its_end(outcome: Outcome) -> None:
    asked = asked_to_cancel(standing(TaskStatus.PROCESSING), 1_001 * SECOND)
    assert after(asked, outcome, 1_002 * SECOND).status == expected(asked, outcome)


def test_a_task_that_is_worked_on_cannot_be_put_in_line_again() -> None:
    with pytest.raises(MoveNotAllowed):
        asked_again(standing(TaskStatus.PROCESSING), 1_001 * SECOND)


@pytest.mark.parametrize("status", [status for status in STATUSES if status != TaskStatus.PROCESSING])
@pytest.mark.parametrize(
    "outcome", [*GOES_BACK, Completed(None), Progress(50)], ids=lambda outcome: type(outcome).__name__
)
def test_only_a_task_that_is_worked_on_has_an_outcome(status: TaskStatus, outcome: Outcome) -> None:
    with pytest.raises(MoveNotAllowed):
        after(standing(status), outcome, 1_001 * SECOND)


def test_a_refused_move_names_the_task_both_statuses_and_what_is_allowed() -> None:
    with pytest.raises(MoveNotAllowed) as refused:
        asked_to_cancel(standing(TaskStatus.FAILED), 1_001 * SECOND)
    assert str(refused.value) == "Task 1 is FAILED and cannot become CANCELLED; allowed is PENDING"


def test_a_move_leaves_the_task_it_was_worked_out_from_as_it_was() -> None:
    task = standing(TaskStatus.PROCESSING)
    copy = Task(*task)
    after(task, Progress(50, "STAGE_1"), 1_001 * SECOND)
    asked_to_cancel(task, 1_001 * SECOND)
    assert task == copy


def test_what_was_interrupted_keeps_its_place_and_what_failed_waits_for_its_pause() -> None:
    held, now = standing(TaskStatus.PROCESSING), 1_005 * SECOND
    stopped = after(held, Stopped(), now)
    assert (stopped.run_at_us, stopped.ready) == (held.run_at_us, 1)
    failed = after(held, Failed(TaskError("NO_LUCK", ""), 2.5), now)
    assert (failed.run_at_us, failed.ready) == (now + 2_500_000, 0)

"""What docs/stack.md says of messages is what the services take."""

import json
import re

import pytest
from jsonschema import Draft202012Validator
from server_process import ROOT

from afterwrite.base.settings import Settings
from afterwrite.jobs.broker import DEAD_LETTERS, REQUESTS, RESULTS
from afterwrite.jobs.messages import REQUEST_SCHEMA, RESULT_SCHEMA, BadMessage, Request, Result
from afterwrite.tasks.workers import process_on_airflow

PAGE = (ROOT / "docs" / "stack.md").read_text(encoding="utf-8")


def example(queue: str) -> bytes:
    """The message that the page shows for a queue."""
    found = re.search(rf"`{re.escape(queue)}`:\n\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1].encode()


def test_the_messages_on_the_page_are_read_and_written_so() -> None:
    job = "2f1c8f1e-0f5b-4a53-9d0e-7a3c2b1f6d11"
    asked, told = Request.read(example(REQUESTS)), Result.read(example(RESULTS))
    assert asked == Request(job, 1882610205588455424, job)
    assert told == Result(job, 1882610205588455424, job, "completed")
    assert Request.read(asked.encode()) == asked
    failed = Result(job, 7, job, "failed", ("RUN_REFUSED", "why"))
    assert [Result.read(one.encode()) for one in (told, failed)] == [told, failed]


@pytest.mark.parametrize("schema", [REQUEST_SCHEMA, RESULT_SCHEMA])
def test_the_page_names_every_field(schema: dict[str, dict[str, object]]) -> None:
    Draft202012Validator.check_schema(dict(schema))
    for name in schema["properties"]:
        assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("name", ["outcome", "error", "run_id", "version"])
def test_a_message_without_one_of_its_fields_is_refused(name: str) -> None:
    value = json.loads(example(RESULTS))
    del value[name]
    with pytest.raises(BadMessage, match=f"'{name}' is a required property"):
        Result.read(json.dumps(value).encode())


def test_the_page_names_queues_settings_and_stages() -> None:
    named = [DEAD_LETTERS, *process_on_airflow.PROGRESS, "QUEUE_MAX_MESSAGES", "CALLBACK_HOURS"]
    assert [name for name in named if name not in PAGE] == []
    assert set(re.findall(r"\b[A-Z_]+_(?:URL|HOURS|MESSAGES|PREFIX)\b", PAGE)) <= {
        name.upper() for name in Settings.__dataclass_fields__
    }

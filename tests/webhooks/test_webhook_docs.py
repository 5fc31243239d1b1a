"""The receivers of docs/webhooks.md work as they stand there, on deliveries of a real server, and its figures hold."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from server_process import ROOT, ServerProcess, free_port, wait_until
from task_calls import create, find, wait_ended

from afterwrite.tasks.workers.webhook_delivery import PAYLOAD_MAX_BYTES, TYPE, WebhookDeliveryWorker
from afterwrite.webhooks.guarded_http import PostLimits
from afterwrite.webhooks.signing import TOLERANCE_SECONDS, sign

pytestmark = pytest.mark.one_database("a delivery is signed alike over both")

PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
SECRET = "whsec_a secret of the documented receivers"
LANGUAGES = {"python": ("receiver.py", [sys.executable]), "javascript": ("receiver.mjs", ["node"])}
DELIVERIES = """{ tasks(type: "webhook_delivery", first: 500) { nodes { id status error { message } payload } } }"""


class Running(NamedTuple):
    """A receiver of the page in a process of its own."""

    port: int
    output: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    def worked_on(self) -> list[str]:
        """A line for each event that it worked on."""
        return self.output.read_text().splitlines()

    def post(self, body: bytes, **headers: str) -> tuple[int, str]:
        """What it answers to a delivery; ``_`` in the name of a header stands for ``-``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/hook", body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


def the_code(language: str) -> str:
    """The one block of a language on the page."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def needed(language: str) -> tuple[str, list[str]]:
    """The name of a receiver's file and the command that runs it."""
    name, command = LANGUAGES[language]
    if shutil.which(command[0]) is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to have {command[0]}")
        pytest.skip(f"not installed: {command[0]}")
    return name, command


@pytest.fixture(scope="module", params=LANGUAGES)
def receiver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The receiver of the page, in each language."""
    name, command = needed(request.param)
    folder = tmp_path_factory.mktemp("receiver")
    (folder / name).write_text(the_code(request.param), encoding="utf-8")
    running = Running(free_port(), folder / "output")
    environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": SECRET, "PORT": str(running.port)}
    with running.output.open("wb") as output:
        process = subprocess.Popen(
            [*command, str(folder / name)], env=environment, stdout=output, stderr=subprocess.PIPE
        )
        try:
            wait_until(lambda: answers(running))
            yield running
        finally:
            process.kill()
            process.communicate()


def answers(running: Running) -> bool:
    """Whether it listens."""
    try:
        return running.post(b"{}")[0] == 401
    except OSError:
        return False


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that delivers to this machine."""
    folder = tmp_path_factory.mktemp("webhooks") / "data"
    server = ServerProcess(folder, STAGE_SECONDS="0", WEBHOOK_SECRET=SECRET, WEBHOOK_ALLOW_PRIVATE="on").start()
    yield server
    server.kill()


def test_a_receiver_of_the_page_takes_the_deliveries_of_a_server(api: ServerProcess, receiver: Running) -> None:
    number = create(api, "entry", {"title": "Delivered é"}, callbackUrl=receiver.url)["id"]
    assert wait_ended(api, number) == "COMPLETED"
    wait_until(lambda: receiver.worked_on()[-1:] == [f"task.completed {number}"])
    deliveries = [node for node in api.query(DELIVERIES)["tasks"]["nodes"] if node["payload"]["url"] == receiver.url]
    (delivery,) = [node for node in deliveries if node["payload"]["event"]["task_id"] == number]
    assert wait_ended(api, delivery["id"]) == "COMPLETED"
    assert find(api, delivery["id"], "attempt result")["result"]["status"] == 200


def test_a_receiver_of_the_page_works_on_an_event_once(receiver: Running) -> None:
    body = json.dumps({"event": "task.failed", "event_id": "twice", "task_id": "7"}).encode()
    for _ in range(2):
        now = int(time.time())
        signatures = f"v2=other, {sign('the next secret', now, body)} {sign(SECRET, now, body)}"
        assert receiver.post(body, Webhook_Timestamp=str(now), Webhook_Signature=signatures) == (200, "ok")
    assert receiver.worked_on().count("task.failed 7") == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"body": b'{"event_id": "other"}'}, "wrong signature"),
        ({"secret": "another"}, "wrong signature"),
        ({"signature": ""}, "wrong signature"),
        ({"signature": "v1="}, "wrong signature"),
        ({"signature": "v1=" + "é" * 32}, "wrong signature"),
        ({"timestamp": ""}, "no timestamp"),
        ({"timestamp": "soon"}, "no timestamp"),
        ({"age": TOLERANCE_SECONDS + 60}, "too old or too new"),
        ({"age": -TOLERANCE_SECONDS - 60}, "too old or too new"),
        ({"header_age": 60}, "wrong signature"),
    ],
)
def test_a_receiver_of_the_page_refuses_what_was_not_signed_just_now(
    receiver: Running, changes: dict[str, object], told: str
) -> None:
    body, before = b'{"event_id": "refused"}', receiver.worked_on()
    signed_at = int(time.time()) - int(str(changes.get("age", 0)))
    signature = sign(str(changes.get("secret", SECRET)), signed_at, body)
    sent_at = str(signed_at - int(str(changes.get("header_age", 0))))
    headers = {"Webhook_Timestamp": sent_at, "Webhook_Signature": signature}
    for name in ("timestamp", "signature"):
        if name in changes:
            headers[f"Webhook_{name.capitalize()}"] = str(changes[name])
    sent = changes.get("body", body)
    assert isinstance(sent, bytes)
    assert receiver.post(sent, **headers) == (401, told)
    assert receiver.worked_on() == before


@pytest.mark.parametrize("secret", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_receiver_of_the_page_does_not_start_without_the_secret(
    tmp_path: Path, language: str, secret: str | None
) -> None:
    name, command = needed(language)
    (tmp_path / name).write_text(the_code(language), encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "PORT": str(free_port())}
    if secret is not None:
        environment["WEBHOOK_SECRET"] = secret
    ended = subprocess.run(
        [*command, str(tmp_path / name)], env=environment, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 1
    assert "WEBHOOK_SECRET is not set" in ended.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example uses curl")
def test_the_commands_of_the_page_lead_a_delivery_to_the_receiver(api: ServerProcess, tmp_path: Path) -> None:
    start, create_job = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "receiver.py").write_text(the_code("python"), encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "webhook-secret").write_text(f"{SECRET}\n", encoding="utf-8")
    running = Running(free_port(), tmp_path / "output")
    environment = {"PATH": os.environ["PATH"], "PORT": str(running.port)}
    with running.output.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-euc", start.replace("python3", "exec python3")],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: answers(running))
            asked = create_job.replace("127.0.0.1:8000", f"127.0.0.1:{running.port}")
            asked = asked.replace("http://127.0.0.1:5000", api.url)
            subprocess.run(["sh", "-euc", asked], check=True, capture_output=True, timeout=30)
            wait_until(lambda: [line.split()[0] for line in running.worked_on()] == ["task.completed"])
        finally:
            process.kill()
            process.wait()


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    retry, limits = WebhookDeliveryWorker.retry, PostLimits()
    assert f"more than {TOLERANCE_SECONDS} seconds away" in PAGE
    assert f"There are {retry.max_attempts} tries" in PAGE
    assert f"grow from {retry.first_seconds:g} seconds to {retry.longest_seconds / 3600:g} hours" in PAGE
    assert f"within {limits.whole_seconds:g} seconds" in PAGE
    assert f"at most {('no', 'one', 'two', 'three')[limits.redirects]} times" in PAGE
    assert PAYLOAD_MAX_BYTES == 256 * 1024
    assert "256 KiB" in PAGE
    assert f"`{TYPE}`" in PAGE

"""Asks Airflow 3 over its REST API v2: to start runs, how a run is, whether its parts are healthy.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from afterwrite.base.settings import VERSION, Settings, SettingsError
from afterwrite.jobs.errors import RunRefused, ServiceAway

DAG_ID = "process_products"
AIRFLOW = "airflow"
QUEUED, SUCCESS, FAILURE = "queued", "success", "failed"
_TIMEOUT_SECONDS = 30.0
# Requests at a time. Airflow's API server works on a request after its caller has given up: more callers than it has
# connections to its database (15), who try again, keep it from ever answering.
_AT_ONCE = 6
# Of an idle connection: shorter than the server's 5 s, so that the server seldom closes it first.
_KEPT_SECONDS = 2.0
_PAGE = 100  # Airflow gives no more at a time, whatever it is asked for
_EXCERPT = 300
# Nothing will make these go through; everything else may pass: a DAG that is not there yet, a user without the right.
_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


@dataclass(frozen=True, slots=True)
class TaskState:
    """How a task of a run is; of one that is mapped, how many there are in each state."""

    name: str
    states: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many there are of it."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the DAG as Airflow knows it."""

    run_id: str
    state: str
    conf: Mapping[str, Any]

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it will run any more."""
        return self.state in (SUCCESS, FAILURE)


class Airflow:
    """The API of one Airflow; every method is to be called on one loop, and raises ServiceAway."""

    def __init__(self, settings: Settings, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        """Raises SettingsError for an AIRFLOW_URL that is none."""
        self._url = _address(settings.airflow_url)
        self._username, self._password = settings.airflow_username, settings.airflow_password
        self._token: str | None = None
        self._asking_token = asyncio.Lock()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._http = httpx.AsyncClient(
            base_url=self._url,
            timeout=timeout_seconds,
            limits=httpx.Limits(
                max_connections=_AT_ONCE,
                max_keepalive_connections=_AT_ONCE,
                keepalive_expiry=_KEPT_SECONDS,
            ),
            headers={"User-Agent": f"Afterwrite/{VERSION}", "Content-Type": "application/json"},
            trust_env=False,
        )

    async def start_run(self, run_id: str, conf: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
        """Start a run; False if there is one of that id already. Raises RunRefused, too."""
        # Without a logical date: runs of one moment are no conflict then.
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        answer = await self._ask("POST", _RUNS, json.dumps(body).encode(), headers)
        if answer.status_code == HTTPStatus.CONFLICT:
            return False
        if answer.status_code in _REFUSED:
            raise RunRefused(f"Airflow refuses the run {run_id}: {_said(answer)}")
        self._check(answer)
        return True

    async def run(self, run_id: str) -> Run | None:
        """A run; None if there is none of that id."""
        answer = await self._ask("GET", f"{_RUNS}/{quote(run_id, safe='')}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        found = self._check(answer)
        return Run(run_id, str(found.get("state")), found.get("conf") or {})

    async def task_states(self, run_id: str) -> Sequence[TaskState]:
        """How the tasks of a run are, in the order in which they begin."""
        path = f"{_RUNS}/{quote(run_id, safe='')}/taskInstances"
        found: dict[str, dict[str, int]] = {}
        instances: list[dict[str, Any]] = []
        count = 1
        while len(instances) < count:
            answer = await self._ask("GET", f"{path}?order_by=id&limit={_PAGE}&offset={len(instances)}")
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return []
            page = self._check(answer)
            more = page.get("task_instances") or []
            instances += more
            count = int(page.get("total_entries") or 0) if more else 0
        # Airflow lists them in no order; by its rule of weights a task weighs more than all that come after it.
        for one in sorted(instances, key=lambda one: -int(one.get("priority_weight") or 0)):
            states = found.setdefault(str(one["task_id"]), {})
            state = str(one.get("state") or "waiting")
            states[state] = states.get(state, 0) + 1
        return [TaskState(name, states) for name, states in found.items()]

    async def check(self) -> None:
        """Return if Airflow's API answers and its scheduler lives."""
        answer = await self._send("GET", "/api/v2/monitor/health", b"", {})
        found = self._check(answer)
        sick = [name for name in ("metadatabase", "scheduler") if _status(found, name) != "healthy"]
        if sick:
            raise ServiceAway(
                AIRFLOW, f"Airflow at {self._url} says that its {' and its '.join(sick)} is not healthy"
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Ask with a token; with a new one where that is no longer valid."""
        token = self._token or await self._new_token(None)
        answer = await self._send(method, path, body, {**(headers or {}), "Authorization": f"Bearer {token}"})
        if answer.status_code != HTTPStatus.UNAUTHORIZED:
            return answer
        token = await self._new_token(token)
        return await self._send(method, path, body, {**(headers or {}), "Authorization": f"Bearer {token}"})

    async def _new_token(self, old: str | None) -> str:
        async with self._asking_token:
            if self._token is not None and self._token != old:  # somebody else has just got one
                return self._token
            if self._username:
                given = {"username": self._username, "password": self._password}
                answer = await self._send("POST", "/auth/token", json.dumps(given).encode(), {})
            else:  # an Airflow that asks nobody
                answer = await self._send("GET", "/auth/token", b"", {})
            token = self._check(answer).get("access_token")
            if not isinstance(token, str):
                raise ServiceAway(AIRFLOW, f"Airflow at {self._url} gave no token: {_said(answer)}")
            self._token = token
            return token

    async def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        try:
            async with self._places:
                try:
                    return await self._http.request(method, path, content=body, headers=headers)
                except httpx.RemoteProtocolError:  # the connection was closed while it was idle
                    return await self._http.request(method, path, content=body, headers=headers)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise ServiceAway(AIRFLOW, f"Airflow cannot be reached at {self._url}: {said}") from error

    def _check(self, answer: httpx.Response) -> dict[str, Any]:
        """The JSON object of an answer with a status 2xx."""
        if answer.is_success:
            try:
                found = answer.json()
            except ValueError:
                found = None
            if isinstance(found, dict):
                return found
        raise ServiceAway(
            AIRFLOW,
            f"Airflow at {self._url} answered {answer.status_code} to {answer.request.url.path}: {_said(answer)}",
        )


def run_url(settings: Settings, run_id: str) -> str | None:
    """The page of a run in Airflow's own interface, without the name and password that its address may have.

    None where that address is none of a page that a browser can open.
    """
    try:
        base = urlsplit((settings.airflow_public_url or settings.airflow_url).rstrip("/"))
    except ValueError:
        return None
    if base.scheme not in ("http", "https") or not base.hostname:
        return None
    host = base.netloc.rpartition("@")[2]
    return f"{base.scheme}://{host}{base.path}/dags/{DAG_ID}/runs/{quote(run_id, safe='')}"


_RUNS = f"/api/v2/dags/{DAG_ID}/dagRuns"


def _address(text: str) -> str:
    try:
        found = urlsplit(text)
        usable = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
        has_secret = "@" in found.netloc
    except ValueError:
        usable = has_secret = False
    if (
        has_secret
    ):  # it would be sent in the place of the token, and stand in every log, so it is not repeated
        raise SettingsError(
            "AIRFLOW_URL has a name or a password in it: give them as AIRFLOW_USERNAME and AIRFLOW_PASSWORD"
        )
    if not usable:
        raise SettingsError(
            f"AIRFLOW_URL={text!r} is no address: give http://HOST:PORT, with the path of Airflow"
        )
    return text.rstrip("/")


def _status(found: Mapping[str, Any], name: str) -> object:
    part = found.get(name)
    return part.get("status") if isinstance(part, dict) else None


def _said(answer: httpx.Response) -> str:
    try:
        found = answer.json()
        said = found.get("detail", found) if isinstance(found, dict) else found
    except ValueError:
        said = answer.text
    return " ".join(str(said).split())[:_EXCERPT] or "nothing"

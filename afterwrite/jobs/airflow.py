"""A client of Airflow 3's REST API v2: starts runs, and reads their states and Airflow's health.

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
# Concurrent requests. Airflow's API server keeps working on a request after its caller has timed out: more callers than
# it has database connections (15) that retry would keep it from ever answering.
_AT_ONCE = 6
# How long an idle connection is kept: shorter than the server's 5 s, so that the server seldom closes it first.
_KEPT_SECONDS = 2.0
_PAGE = 100  # Airflow's maximum page size
_EXCERPT = 300
# Only these are permanent. Others may pass, such as a DAG not yet parsed or a user lacking a permission.
_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task of a run; for a mapped task, the number of its instances in each state."""

    name: str
    states: Mapping[str, int]

    @property
    def total(self) -> int:
        """The number of instances."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Run:
    """A DAG run in Airflow."""

    run_id: str
    state: str
    conf: Mapping[str, Any]

    @property
    def has_ended(self) -> bool:
        return self.state in (SUCCESS, FAILURE)


class Airflow:
    """The API of one Airflow; call every method on one loop. Every method raises ServiceAway."""

    def __init__(self, settings: Settings, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        """Raises SettingsError for an invalid AIRFLOW_URL."""
        self._url = _address(settings.airflow_url)
        self._username, self._password = settings.airflow_username, settings.airflow_password
        self._token: str | None = None
        self._asking_token = asyncio.Lock()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._http = httpx.AsyncClient(
            base_url=self._url,
            timeout=timeout_seconds,
            limits=httpx.Limits(
                max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE, keepalive_expiry=_KEPT_SECONDS
            ),
            headers={"User-Agent": f"Afterwrite/{VERSION}", "Content-Type": "application/json"},
            trust_env=False,
        )

    async def start_run(self, run_id: str, conf: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
        """Start a run; False if the id already exists. Also raises RunRefused."""
        # Without a logical date, so that simultaneous runs do not conflict.
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        answer = await self._ask("POST", _RUNS, json.dumps(body).encode(), headers)
        if answer.status_code == HTTPStatus.CONFLICT:
            return False
        if answer.status_code in _REFUSED:
            raise RunRefused(f"Airflow refuses the run {run_id}: {_excerpt(answer)}")
        self._check(answer)
        return True

    async def run(self, run_id: str) -> Run | None:
        """A run, or None if the id is unknown."""
        answer = await self._ask("GET", f"{_RUNS}/{quote(run_id, safe='')}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        found = self._check(answer)
        return Run(run_id, str(found.get("state")), found.get("conf") or {})

    async def task_states(self, run_id: str) -> Sequence[TaskState]:
        """The tasks of a run, in the order in which they start."""
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
        # Airflow lists them in no order, but its default weight rule gives a task more weight than its successors.
        for one in sorted(instances, key=lambda one: -int(one.get("priority_weight") or 0)):
            states = found.setdefault(str(one["task_id"]), {})
            state = str(one.get("state") or "waiting")
            states[state] = states.get(state, 0) + 1
        return [TaskState(name, states) for name, states in found.items()]

    async def check(self) -> None:
        """Check that Airflow's API answers and its components are healthy."""
        answer = await self._send("GET", "/api/v2/monitor/health", b"", {})
        found = self._check(answer)
        sick = [name for name in ("metadatabase", "scheduler") if _status(found, name) != "healthy"]
        if sick:
            raise ServiceAway(
                AIRFLOW, f"Airflow at {self._url} reports an unhealthy {' and '.join(sick)}: see their logs"
            )

    async def close(self) -> None:
        await self._http.aclose()

    async def _ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send an authenticated request; renew the token if it has expired."""
        token = self._token or await self._new_token(None)
        answer = await self._send(method, path, body, {**(headers or {}), "Authorization": f"Bearer {token}"})
        if answer.status_code != HTTPStatus.UNAUTHORIZED:
            return answer
        token = await self._new_token(token)
        return await self._send(method, path, body, {**(headers or {}), "Authorization": f"Bearer {token}"})

    async def _new_token(self, old: str | None) -> str:
        async with self._asking_token:
            if self._token is not None and self._token != old:  # another caller has just renewed it
                return self._token
            if self._username:
                given = {"username": self._username, "password": self._password}
                answer = await self._send("POST", "/auth/token", json.dumps(given).encode(), {})
            else:  # an Airflow without authentication
                answer = await self._send("GET", "/auth/token", b"", {})
            token = self._check(answer).get("access_token")
            if not isinstance(token, str):
                raise ServiceAway(AIRFLOW, f"Airflow at {self._url} issued no token: {_excerpt(answer)}")
            self._token = token
            return token

    async def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        try:
            async with self._places:
                try:
                    return await self._http.request(method, path, content=body, headers=headers)
                except httpx.RemoteProtocolError:  # the server closed an idle connection
                    return await self._http.request(method, path, content=body, headers=headers)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise ServiceAway(AIRFLOW, f"Airflow cannot be reached at {self._url}: {said}") from error

    def _check(self, answer: httpx.Response) -> dict[str, Any]:
        """The JSON object of a 2xx answer."""
        if answer.is_success:
            try:
                found = answer.json()
            except ValueError:
                found = None
            if isinstance(found, dict):
                return found
        raise ServiceAway(
            AIRFLOW,
            f"Airflow at {self._url} answered {answer.status_code} to {answer.request.url.path}: {_excerpt(answer)}",
        )


def run_url(settings: Settings, run_id: str) -> str | None:
    """The page of a run in Airflow's UI, without the credentials that the address may have.

    None unless a browser can open the address.
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
    if has_secret:  # credentials here would replace the token and appear in every log, so the text is not quoted
        raise SettingsError(
            "AIRFLOW_URL contains a user name or a password: give them as AIRFLOW_USERNAME and AIRFLOW_PASSWORD"
        )
    if not usable:
        raise SettingsError(
            f"AIRFLOW_URL={text!r} is not a valid address: give http://HOST:PORT, with the path of Airflow"
        )
    return text.rstrip("/")


def _status(found: Mapping[str, Any], name: str) -> object:
    part = found.get(name)
    return part.get("status") if isinstance(part, dict) else None


def _excerpt(answer: httpx.Response) -> str:
    try:
        found = answer.json()
        said = found.get("detail", found) if isinstance(found, dict) else found
    except ValueError:
        said = answer.text
    return " ".join(str(said).split())[:_EXCERPT] or "an empty answer"

"""A real Airflow for a measurement: its API server on a new database, with a trigger that announces new runs."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator

from bench.many.databases import connect, new_database
from bench.many.processes import running
from bench.plan import Plan
from bench.servers import answers, free_port
from bench.task_starts import WAIT_SECONDS
from devkit.airflow import airflow_environment, prepare_airflow, ready_airflow

USER, PASSWORD = "afterwrite", "of a measurement"
READY_SECONDS = 120.0
_POLL_SECONDS = 0.5
_TRIGGER = """
CREATE FUNCTION bench_tell() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('bench_runs', NEW.run_id); RETURN NULL; END $$;
CREATE TRIGGER bench_tell AFTER INSERT ON dag_run FOR EACH ROW EXECUTE FUNCTION bench_tell()
"""


class RealAirflow:
    """Airflow's API at ``url``, and notifications of new runs from its database."""

    def __init__(self, url: str, database: str) -> None:
        self.url, self._database = url, database
        self._news: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="runs")

    def start(self) -> None:
        """Start listening; earlier runs are not reported."""
        with connect(self._database) as connection:
            connection.execute(_TRIGGER)
        self._thread.start()
        self._next()  # the listener is ready

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def created(self, run_id: str) -> float:
        """Wait until a run is committed; return when, by ``time.perf_counter``."""
        while True:
            created_id, at = self._next()
            if created_id == run_id:
                return at

    def _next(self) -> tuple[str, float]:
        try:
            return self._news.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise RuntimeError(f"Airflow has not created a run in {WAIT_SECONDS} s") from None

    def _listen(self) -> None:
        """Record when each notification arrives, independently of the other thread."""
        with connect(self._database) as connection:
            connection.execute("LISTEN bench_runs")
            self._news.put(("", 0.0))
            while not self._closing.is_set():
                for notification in connection.notifies(timeout=_POLL_SECONDS):
                    self._news.put((notification.payload, time.perf_counter()))


@contextlib.contextmanager
def real_airflow(plan: Plan) -> Iterator[RealAirflow]:
    """Run the API server of a new Airflow with the DAG; without a scheduler, so that runs stay queued."""
    folder, port = plan.new_folder(), free_port()
    with new_database() as url:
        database = url.replace("postgresql:", "postgresql+psycopg:", 1)
        environment = airflow_environment(folder, port, database, (USER, PASSWORD), {})
        plan.say("an Airflow of its own: making its database")
        prepare_airflow(environment)
        with running(folder, [[str(ready_airflow()), "api-server"]], environment) as processes:
            processes.wait_until(lambda: answers(port, "/api/v2/monitor/health"), "Airflow's API", READY_SECONDS)
            airflow = RealAirflow(f"http://127.0.0.1:{port}", url)
            with contextlib.closing(airflow):
                airflow.start()
                yield airflow

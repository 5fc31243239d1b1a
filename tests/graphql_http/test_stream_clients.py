"""The client libraries that most people use subscribe to a real server."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from access_site import KEYS, SECRETS
from npm_packages import installed
from server_process import ServerProcess

from afterwrite.access.roles import Role

PACKAGES = ("graphql@16.12.0", "ws@8.23.0")
LIBRARIES = {
    "graphql-ws": ("graphql-ws@6.4.2",),
    "graphql-sse": ("graphql-sse@2.6.1",),
    "apollo": ("@apollo/client@4.3.8", "rxjs@7.8.2", "graphql-ws@6.4.2"),
    "urql": ("@urql/core@6.0.3", "wonka@6.3.6", "graphql-ws@6.4.2"),
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server with keys for all libraries."""
    server = ServerProcess(tmp_path_factory.mktemp("data"), API_KEYS=KEYS).start()
    yield server
    server.kill()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_client_library_is_told_of_a_settled_write(api: ServerProcess, library: str) -> None:
    folder = installed(*PACKAGES, *LIBRARIES[library])
    script = shutil.copy(Path(__file__).with_name("stream_clients.mjs"), folder)
    command = ["node", script, str(api.port), library, SECRETS[Role.WRITE]]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    # urql repeats the last event at the end of a subscription.
    [settled] = {json.dumps(event["writeSettled"]): event["writeSettled"] for event in found["events"]}.values()
    assert (settled["id"], settled["status"]) == (found["id"], "APPLIED")

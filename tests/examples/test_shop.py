"""The shop of examples/shop, as its README starts it: from an empty folder and the installed wheel."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from installed_package import Installation, build_wheel
from server_process import ROOT, wait_until

SHOP = ROOT / "examples" / "shop"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (SHOP / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
# Building and installing, which the tests do with the packages that are here.
BUILD, INSTALL, *TALKS = BLOCKS

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the README has commands of a POSIX shell"),
    pytest.mark.one_database("the steps of a newcomer, who has none"),
]


def test_the_application_has_fewer_than_120_lines() -> None:
    assert len((SHOP / "app.py").read_text(encoding="utf-8").splitlines()) < 120


def test_every_step_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    assert BUILD.split()[:3] == ["pip", "wheel", "--no-deps"]
    assert INSTALL.splitlines()[-2:] == ["cp ../examples/shop/app.py .", "afterwrite serve"]
    tmp_path.joinpath("wheel").mkdir()
    shop = Installation(build_wheel(tmp_path / "wheel"), tmp_path)
    shop.folder.joinpath("app.py").write_bytes((SHOP / "app.py").read_bytes())
    server = shop.start("afterwrite", "serve")
    try:
        wait_until(lambda: server.poll() is not None or shop.answers(), timeout=120)
        assert server.poll() is None, server.communicate()
        make, pay, show, keep, ship = _talks(shop)
        made, paid = _said(shop, make), _said(shop, pay)
        invoice = wait_until(lambda: [line for line in _said(shop, show) if "COMPLETED" in line])
        kept, shipped = _said(shop, keep), _said(shop, ship)
        assert [json.loads(line)["data"] for line in made] == [
            {"createProduct": {"success": True, "write": {"recordId": "1"}}},
            {"upsertStock": {"success": True}},
            {"createOrder": {"success": True, "write": {"recordId": "1"}}},
        ]
        reserved, order, again = (json.loads(line)["data"] for line in paid)
        assert reserved["reserveStockSync"] == {"success": True, "stock": {"onHand": 10}}
        assert order["payOrderSync"]["order"] == {"state": "PAID", "product": {"title": "Lamp", "price": 49.9}}
        assert again["payOrderSync"]["write"]["error"] == {"code": "WRONG_STATE"}
        assert json.loads(invoice[0])["data"]["tasks"]["nodes"] == [
            {"status": "COMPLETED", "result": {"invoice": "Invoice 1 for mia@example.org: paid with thanks"}}
        ]
        assert json.loads(kept[1])["data"]["writes"]["nodes"][0]["operation"] == "DELETE"
        assert shipped[0].startswith("HTTP/1.1 200")
        assert [one["state"] for one in json.loads(shipped[-1])["orders"]] == ["SHIPPED"]
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def _talks(shop: Installation) -> list[str]:
    """The blocks after the start, each able to run alone."""
    graphql, *_ = TALKS[0].splitlines()
    return [f"{graphql}\n{talk}".replace(":5000", f":{shop.port}") for talk in TALKS]


def _said(shop: Installation, commands: str) -> list[Any]:
    run = subprocess.run(["bash", "-ec", commands], cwd=shop.folder, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return [line for line in run.stdout.splitlines() if line]

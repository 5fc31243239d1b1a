"""The worker of the product pipeline: its stages, its limits, and its end, whatever it is given."""

import asyncio
import json
import threading
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from product_lists import LAMP, PAYLOADS
from server_process import ROOT, ServerProcess, wait_until
from task_house import MakeHouse
from worker_runs import SECONDS, WorkerRuns, new_task

from afterwrite.jobs import pipeline
from afterwrite.tasks.task import Progress, Task, TaskStatus
from afterwrite.tasks.worker import CancelAsked, LockLost, TaskStopped
from afterwrite.tasks.workers import process_products
from afterwrite.tasks.workers.process_products import PRODUCTS_MAX, RESULT_MAX_BYTES, ProcessProductsWorker

TYPE = "process_products"
DUMMYJSON = ROOT.parent / "shared" / "data" / "dummyjson-products.json"
SCHEMA = Draft202012Validator(ProcessProductsWorker.types[TYPE])


def done(payload: Any, result_max_bytes: int = RESULT_MAX_BYTES) -> Any:
    """The result of a task that must complete."""
    task = WorkerRuns(ProcessProductsWorker(result_max_bytes)).ended(TYPE, payload)
    assert task.status == TaskStatus.COMPLETED, task.error
    return task.result


def many(count: int, **fields: Any) -> dict[str, Any]:
    return {"products": [{"title": f"Lamp {number}", "price": number, **fields} for number in range(count)]}


# -- the worker -------------------------------------------------------------------------------------------------


def test_the_stages_follow_each_other_and_each_leaves_its_part_of_the_result() -> None:
    runs = WorkerRuns(ProcessProductsWorker())
    task = runs.ended(TYPE, {"products": [LAMP, {"title": "No price"}]})
    assert [(claim.stage, claim.progress) for claim in runs.claims] == [
        ("VALIDATING", 0),
        ("TRANSFORMING", 50),
        ("STORING", 75),
    ]
    assert runs.reports == [(1, "VALIDATING", 25), (1, "COMPLETED", 100)]
    left = [set(claim.result or {}) for claim in runs.claims]
    assert left[0] < left[1] < left[2] < set(task.result)
    assert (task.status, task.progress) == (TaskStatus.COMPLETED, 100)


def test_the_work_on_the_products_is_done_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def watched(function: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            threads.append(threading.current_thread())
            return function(*arguments, **more)

        return call

    monkeypatch.setattr(process_products, "validate", watched(pipeline.validate))
    monkeypatch.setattr(process_products, "transform", watched(pipeline.transform))
    done({"products": [LAMP]})
    assert len(threads) == 3
    assert threading.current_thread() not in threads, "the loop of the worker runs in this one"


def test_a_product_is_enriched_and_a_bad_one_is_refused_with_its_index_field_and_reason() -> None:
    result = done({"products": [{"title": "", "price": 1.005}, LAMP]})
    assert (result["received"], result["accepted"], result["refused"]) == (2, 1, 1)
    assert result["refusals"] == [
        {
            "index": 0,
            "errors": [
                {"field": "title", "code": "REQUIRED", "message": "title is empty: give a text of 1 to 300 characters"},
                {"field": "price", "code": "TOO_MANY_DECIMALS", "message": "price is 1.005: give at most two decimals"},
            ],
        }
    ]
    assert result["products"] == [
        {
            "index": 1,
            "title": "Desk Lamp",
            "slug": "desk-lamp",
            "category": "home lamps",
            "price": "19.99",
            "priceBand": "MIDDLE",
            "keywords": ["desk", "lamp", "home", "lamps"],
            "rating": {"rate": 4.5, "count": 12},
        }
    ]
    assert result["completedAt"].endswith("+00:00")


def test_when_no_product_is_valid_the_task_fails_for_good_and_names_the_first_ones() -> None:
    runs = WorkerRuns(ProcessProductsWorker())
    task = runs.ended(TYPE, {"products": [{"title": "Lamp"}, {}, {"price": "NaN" + "1" * 5000}, {}, {}]})
    assert (task.status, len(runs.claims), task.result) == (TaskStatus.FAILED, 1, None)
    assert task.error is not None
    assert (task.error.code, task.error.final) == ("NO_VALID_PRODUCT", True)
    assert "None of the 5 products is valid (product 0: price is required" in task.error.message
    assert "and 2 more" in task.error.message
    assert len(task.error.message) < 1000


def test_when_the_only_product_is_not_valid_the_message_speaks_of_one() -> None:
    task = WorkerRuns(ProcessProductsWorker()).ended(TYPE, {"products": [{"title": "Lamp"}]})
    assert task.error is not None
    assert task.error.message.startswith("The only product is not valid (product 0: price is required")


@pytest.mark.parametrize(
    ("payload", "is_right"),
    [
        ({"products": [{}]}, True),
        ({"products": [LAMP], "source": "a feed"}, True),
        ({"products": []}, False),
        ({"products": [7]}, False),
        ({"products": {}}, False),
        ({"products": [{}] * PRODUCTS_MAX}, True),
        ({"products": [{}] * (PRODUCTS_MAX + 1)}, False),
        ({}, False),
        ([LAMP], False),
    ],
)
def test_a_payload_has_1_to_10_000_products(payload: object, is_right: bool) -> None:
    Draft202012Validator.check_schema(ProcessProductsWorker.types[TYPE])
    assert SCHEMA.is_valid(payload) is is_right


def test_ten_thousand_products_keep_their_statistics_and_as_many_products_as_fit() -> None:
    payload = {"products": [{"title": f"{number}", "price": number} for number in range(PRODUCTS_MAX)]}
    result = done(payload)
    assert len(json.dumps(result)) <= RESULT_MAX_BYTES
    assert result["statistics"]["count"] == result["accepted"] == PRODUCTS_MAX
    assert result["statistics"]["total"] == f"{sum(range(PRODUCTS_MAX))}.00"
    assert [product["index"] for product in result["products"]] == list(range(len(result["products"])))
    assert result["productsLeftOut"] == PRODUCTS_MAX - len(result["products"]) > 0


def test_refusals_and_categories_never_crowd_out_the_products() -> None:
    good = [{"title": "红" * 20, "price": 1, "category": f"category {number}"} for number in range(3000)]
    result = done({"products": [{}] * 5000 + good})
    assert len(json.dumps(result)) <= RESULT_MAX_BYTES
    for listed, counted in (("refusals", 5000), ("products", 3000)):
        assert 0 < len(result[listed]) == counted - result[f"{listed}LeftOut"] < counted
    statistics = result["statistics"]
    assert 0 < len(statistics["categories"]) == 3000 - statistics["categoriesLeftOut"] < 3000


@pytest.mark.parametrize("stage", ["TRANSFORMING", "STORING"])
@pytest.mark.parametrize("left", [None, {}, {"received": 1, "accepted": 1, "refused": 0}])
def test_a_stage_whose_forerunner_left_nothing_useful_never_completes(stage: str, left: dict[str, int] | None) -> None:
    runs = WorkerRuns(ProcessProductsWorker())
    task = new_task(runs.worker, TYPE, {"products": [LAMP, LAMP]})
    task = task._replace(stage=stage, result_json=None if left is None else json.dumps(left))
    task = asyncio.run(asyncio.wait_for(runs.run_to_end(task), SECONDS))
    assert task.status == TaskStatus.FAILED
    assert task.error is not None
    assert task.error.code == "BROKEN_STAGE"


def test_a_job_half_done_by_a_version_without_decimal_signs_is_completed() -> None:
    runs = WorkerRuns(ProcessProductsWorker())
    products = [{"title": "Lamp", "price": "2.50"}, {"title": "Desk", "price": "1,234"}]
    left = {"received": 2, "accepted": 1, "refused": 1, "refusals": [], "refusalsLeftOut": 1}
    task = new_task(runs.worker, TYPE, {"products": products})
    task = task._replace(stage="TRANSFORMING", result_json=json.dumps(left))
    ended = asyncio.run(runs.run_to_end(task))
    assert ended.status == TaskStatus.COMPLETED, ended.error
    assert [product["title"] for product in ended.result["products"]] == ["Lamp"]


def test_a_task_whose_stages_left_nothing_fails() -> None:
    runs = WorkerRuns(ProcessProductsWorker())
    task = new_task(runs.worker, TYPE, {"products": [LAMP]})._replace(stage="COMPLETED")
    assert asyncio.run(runs.run_to_end(task)).status == TaskStatus.FAILED


@pytest.mark.parametrize("stage", [None, "PUBLISHED"])
def test_a_task_that_others_were_to_run_begins_at_the_beginning(stage: str | None) -> None:
    runs = WorkerRuns(ProcessProductsWorker())
    left = json.dumps({"runId": "some-run"})
    task = new_task(runs.worker, TYPE, {"products": [LAMP]})._replace(stage=stage, result_json=left)
    ended = asyncio.run(runs.run_to_end(task))
    assert (ended.status, ended.result["accepted"]) == (TaskStatus.COMPLETED, 1)


def test_a_repeated_stage_gives_the_same_result() -> None:
    runs = WorkerRuns(ProcessProductsWorker())
    task = asyncio.run(runs.run(new_task(runs.worker, TYPE, {"products": [LAMP, {}]})))
    first, second = (asyncio.run(runs.execute(runs.claim(task))) for _ in range(2))
    assert first == second


def test_a_task_whose_worker_died_after_its_last_report_is_completed() -> None:
    runs = WorkerRuns(ProcessProductsWorker())
    task = new_task(runs.worker, TYPE, {"products": [LAMP]})
    for _stage in range(2):
        task = asyncio.run(runs.run(task))
    task = asyncio.run(runs.run(task._replace(stage="COMPLETED", progress=100)))
    assert (task.status, task.result["accepted"]) == (TaskStatus.COMPLETED, 1)


@pytest.mark.parametrize("why", [CancelAsked, LockLost])
def test_a_stop_is_heard_before_the_work_is_begun(why: type[TaskStopped]) -> None:
    runs = WorkerRuns(ProcessProductsWorker())

    def stop(context: Any, progress: Progress) -> None:
        context.stop(why)

    runs.on_report = stop
    with pytest.raises(why):
        runs.ended(TYPE, {"products": [LAMP]})


@pytest.mark.skipif(not DUMMYJSON.exists(), reason=f"{DUMMYJSON} is not here: it is not part of the project")
def test_the_products_of_a_public_api_go_through_whole() -> None:
    feed = json.loads(DUMMYJSON.read_text(encoding="utf-8"))
    names = ("title", "price", "description", "category", "rating", "thumbnail", "tags")
    products = [{name: item.get(name) for name in names} for item in feed]
    payload = {"products": products}
    assert len(json.dumps(payload)) < RESULT_MAX_BYTES
    SCHEMA.validate(payload)
    result = done(payload)
    assert (result["accepted"], result["refused"], result["productsLeftOut"]) == (len(feed), 0, 0)
    assert Decimal(result["statistics"]["total"]) == sum(Decimal(str(item["price"])) for item in feed)
    assert len(result["statistics"]["categories"]) == len({item["category"] for item in feed})
    assert all(product["slug"] and product["keywords"] for product in result["products"])


def test_a_list_of_products_goes_through_the_real_queue(make_house: MakeHouse) -> None:
    house = make_house(ProcessProductsWorker(), payload_max_bytes=RESULT_MAX_BYTES).start()
    payloads: list[dict[str, Any]] = [{"products": [LAMP, {}]}, {"products": [{}]}, many(5000, category="a")]
    good, bad, large = (house.create(TYPE, payload=payload) for payload in payloads)
    done, failed, full = house.wait_all([good, bad, large])
    assert (done.status, done.stage, done.claim) == (TaskStatus.COMPLETED, "COMPLETED", 3)
    assert (done.result["accepted"], done.result["refused"]) == (1, 1)
    assert failed.status == TaskStatus.FAILED
    assert full.status == TaskStatus.COMPLETED
    assert full.result["productsLeftOut"] > 0


# -- any payload ------------------------------------------------------------------------------------------------


def end(payload: Any, result_max_bytes: int) -> Task:
    return WorkerRuns(ProcessProductsWorker(result_max_bytes)).ended(TYPE, payload)


@settings(deadline=None, max_examples=150)
@given(PAYLOADS, st.sampled_from((2_000, 5_000, RESULT_MAX_BYTES)))
def test_every_payload_ends_completed_within_the_limit_or_failed_for_good(payload: Any, limit: int) -> None:
    SCHEMA.validate(payload)
    task = end(payload, limit)
    if task.status == TaskStatus.FAILED:
        assert task.error is not None
        assert (task.error.code, task.error.final) == ("NO_VALID_PRODUCT", True)
        return
    result = task.result
    assert len(task.result_json or "") <= limit
    json.dumps(result, allow_nan=False)
    assert result["received"] == len(payload["products"]) == result["accepted"] + result["refused"]
    assert result["refused"] == len(result["refusals"]) + result["refusalsLeftOut"]
    assert result["accepted"] == len(result["products"]) + result["productsLeftOut"]
    assert result["statistics"]["count"] == result["accepted"]


# -- through a server -------------------------------------------------------------------------------------------


def test_a_process_is_asked_for_and_found_over_rest(server: ServerProcess) -> None:
    body = json.dumps({"payload": {"products": [LAMP, {"title": "No price"}]}}).encode()
    with closing(server.client()) as client:
        status, answer = client.request("POST", "/api/process", body, {"Content-Type": "application/json"})
    assert status == 202, answer
    path = f"/api/process/{json.loads(answer)['correlation_id']}"

    def ended() -> Any:
        found = json.loads(server.get(path)[1])
        return found if found["status"] not in ("PENDING", "PROCESSING") else None

    found = wait_until(ended)
    assert (found["status"], found["stage"], found["progress"]) == ("COMPLETED", "COMPLETED", 100)
    assert (found["result"]["accepted"], found["result"]["refused"]) == (1, 1)

"""The built-in product pipeline: validates, enriches and summarises a list of products."""

from datetime import UTC, datetime
from typing import Any

from afterwrite.jobs.feed_product import PRODUCT
from afterwrite.jobs.pipeline import (
    Checked,
    Json,
    adds_up,
    all_refused,
    decimal_of,
    transform,
    validate,
    verdict,
    with_products,
)
from afterwrite.resources.feed_names import feed_names
from afterwrite.resources.feed_numbers import DecimalSign
from afterwrite.tasks.task import StageDone, Task
from afterwrite.tasks.worker import BaseWorker, Schema, TaskContext, TaskFailed, next_stage

PROCESS_PRODUCTS = "process_products"
PRODUCTS_MAX = 10_000
RESULT_MAX_BYTES = 256 * 1024
COMPLETED = "COMPLETED"
# The stages in order, each with the progress of a task that has reached it.
PROGRESS = {"VALIDATING": 25, "TRANSFORMING": 50, "STORING": 75}

_LATER = ("TRANSFORMING", "STORING", COMPLETED)


def payload_of(products_max: int) -> Schema:
    """The payload schema for 1 to ``products_max`` products."""
    item = {
        "type": "object",
        "description": f"A product as one of a file of products:\n\n{feed_names(PRODUCT).accepted()}",
    }
    products = {"type": "array", "minItems": 1, "maxItems": products_max, "items": item}
    decimal = {
        "enum": [sign.value for sign in DecimalSign],
        "description": "The decimal sign of an ambiguous text such as 1,234, which may mean 1234 or 1.234",
    }
    return {"type": "object", "required": ["products"], "properties": {"products": products, "decimal": decimal}}


class ProcessProductsWorker(BaseWorker):
    """Processes a list of products in the stages VALIDATING, TRANSFORMING and STORING.

    Each stage extends the result for the next one. The products stay in the payload: validating them again costs less
    than storing them twice. The result, at most ``result_max_bytes`` of JSON, has ``received accepted refused refusals
    refusalsLeftOut decimal ignoredNames currencies statistics products productsLeftOut completedAt``; see
    ``jobs.pipeline`` for their shapes.
    """

    types = {PROCESS_PRODUCTS: payload_of(PRODUCTS_MAX)}
    concurrency = 2  # CPU-bound, on the processor that also serves requests

    def __init__(self, result_max_bytes: int = RESULT_MAX_BYTES) -> None:
        self._max_bytes = result_max_bytes

    def first_stage(self, task_type: str) -> str:
        return "VALIDATING"

    async def execute_task(self, task: Task, context: TaskContext) -> Any:
        """Run one stage. Raises TaskFailed when no product is valid, or the previous stage left nothing."""
        items = task.payload["products"]
        if task.stage not in _LATER:  # a task from another engine starts here
            await context.progress(PROGRESS["VALIDATING"])
            return await context.in_thread(_validating, task.payload, self._max_bytes)
        report = task.result
        if task.stage == "TRANSFORMING" and report:
            return await context.in_thread(_transforming, task.payload, report, self._max_bytes)
        if task.stage in ("STORING", COMPLETED) and report and adds_up(report, len(items)):
            await context.progress(100, COMPLETED)
            return report | {"completedAt": datetime.now(UTC).isoformat()}
        raise TaskFailed(
            "BROKEN_STAGE",
            f"The stage before {task.stage} left no result for all {len(items):,} products: create a new task",
            final=True,
        )


def _validating(payload: Json, max_bytes: int) -> StageDone:
    decimal = decimal_of(payload["products"], payload.get("decimal"))
    report = verdict(_checked(payload, decimal), max_bytes)
    return next_stage("TRANSFORMING", PROGRESS["TRANSFORMING"], report)


def _transforming(payload: Json, report: Json, max_bytes: int) -> StageDone:
    decimal = report.get("decimal")  # earlier versions stored none
    found = with_products(report, transform(_checked(payload, decimal).products), max_bytes)
    return next_stage("STORING", PROGRESS["STORING"], found)


def _checked(payload: Json, decimal: str | None) -> Checked:
    checked = validate(payload["products"], decimal=decimal)
    if not checked.products:
        raise TaskFailed("NO_VALID_PRODUCT", all_refused(checked.refusals), final=True)
    return checked

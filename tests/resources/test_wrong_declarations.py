"""What stops an application whose declaration is wrong: one line for each mistake, with what to do."""

import asyncio
import random
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from declarations import resource

from afterwrite import (
    Application,
    Choice,
    Integer,
    Json,
    Money,
    Number,
    Reference,
    Rejected,
    Resource,
    Text,
    Url,
    derived,
    operation,
)
from afterwrite.resources.registry import Resources, WrongDeclaration, compiled
from afterwrite.resources.resource import ResourceType

MODULE_STATE: dict[str, int] = {}


def _impure_operations() -> dict[str, tuple[Any, str]]:
    def reads_the_clock(self: Any) -> Any:
        return self.replace(size=int(time.time()))

    def asks_for_now(self: Any) -> Any:
        return self.replace(size=datetime.now(UTC).year)

    def draws(self: Any) -> Any:
        return self.replace(size=random.randint(1, 6))

    def makes_an_id(self: Any) -> Any:
        return self.replace(size=uuid.uuid4().int)

    def imports(self: Any) -> Any:
        import secrets

        return self.replace(size=secrets.randbelow(6))

    def opens(self: Any) -> Any:
        with open("/etc/hostname") as file:  # noqa: PTH123
            return self.replace(size=len(file.read()))

    async def waits(self: Any) -> Any:
        await asyncio.sleep(0)
        return self

    def changes_a_global(self: Any) -> Any:
        global MODULE_STATE
        MODULE_STATE = {}
        return self

    def takes_anything(self: Any, **more: int) -> Any:
        return self.replace(size=len(more))

    def takes_an_object(self: Any, what: object) -> Any:
        return self.replace(size=id(what))

    def hides_its_code(self: Any) -> Any:
        raise Rejected("".join("AB"), "x")

    def has_an_odd_code(self: Any) -> Any:
        raise Rejected("not ok", "x")

    return {
        "reads_the_clock": (reads_the_clock, "uses time, which is not the same each time: take it as an argument"),
        "asks_for_now": (asks_for_now, "uses now, which"),
        "draws": (draws, "uses random, which"),
        "makes_an_id": (makes_an_id, "uses uuid, which"),
        "imports": (imports, "uses secrets, which"),
        "opens": (opens, "uses open, which"),
        "waits": (waits, "is a coroutine"),
        "changes_a_global": (changes_a_global, "changes the global MODULE_STATE"),
        "takes_anything": (takes_anything, "takes *more: name every argument"),
        "takes_an_object": (takes_an_object, "what needs the annotation of a type: give one of int, str"),
        "hides_its_code": (hides_its_code, "raises Rejected without a code that stands there"),
        "has_an_odd_code": (has_an_odd_code, "rejects with the code 'not ok': give capital letters"),
    }


@pytest.mark.parametrize(
    ("name", "found"), _impure_operations().items(), ids=lambda one: one if type(one) is str else ""
)
def test_an_operation_that_is_not_pure_or_not_clear_stops_the_start(name: str, found: tuple[Any, str]) -> None:
    method, says = found
    problems = _problems(resource("Thing", size=Integer(), **{name: operation(method)}))
    assert any(line.startswith(f"Thing.{name}") and says in line for line in problems), problems


def test_methods_that_an_operation_calls_are_read_with_it() -> None:
    def _now(self: Any) -> int:
        return int(time.time())

    def _refuse(self: Any) -> Any:
        raise Rejected("TOO_LATE", "it is too late")

    def wait(self: Any) -> Any:
        return self.replace(size=self._now())

    def close(self: Any) -> Any:
        return self._refuse()

    members: dict[str, Any] = {"size": Integer(), "_now": _now, "_refuse": _refuse}
    problems = _problems(resource("Thing", **members, wait=operation(wait)))
    assert [line for line in problems if line.startswith("Thing.wait uses time, which is not the same each time")]
    assert _problems(closing := resource("Thing", **members, close=operation(close))) == []
    assert compiled(closing).rejections == ["TOO_LATE"]


SHORT = Text(max_length=9, facet=True)


class Query(Resource):
    """A name that the schema has already."""

    title = Text()


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        (Query, "Query is a type of the API already: rename the class"),
        (resource("thing", a=Text()), "thing: a resource is named with a capital"),
        (resource("Thing"), "Thing declares no field: give it one"),
        (ResourceType("Sheep", (Resource,), {"a": Text()}, plural="sheep"), "Sheep: its plural is its singular, sheep"),
        (
            ResourceType("Thing", (Resource,), {"a": Text()}, tabel="x"),
            "Thing gives tabel=...: name, plural and table can",
        ),
        (ResourceType("Thing", (Resource,), {"a": Text()}, table="ledger"), "Thing: the table ledger is one of the"),
        (ResourceType("Thing", (Resource,), {"a": Text()}, plural="No good"), "Thing: the plural 'No good' is no name"),
        (
            ResourceType("Login", (Resource,), {"a": Text()}, plural="sign_in"),
            "Login: its pages would be at /sign-in, a path of the server: give plural=... after the base class",
        ),
        (resource("Metric", a=Text()), "Metric: its pages would be at /metrics"),
        (resource("Thing", search=Text()), "Thing.search: every record or query has something of this name"),
        (resource("Thing", version=Integer()), "Thing.version: every record or query has something of this name"),
        (resource("Thing", thing_id=Text()), "Thing.thing_id: every record or query"),
        (resource("Thing", Title=Text()), "Thing.Title: a field is named in snake case"),
        (resource("Thing", price=Money(), price_minor=Integer()), "Thing: two fields are stored as price_minor"),
        (resource("Thing", a=Integer(search=True)), "Thing.a: search=True is for Text, and it is Integer"),
        (resource("Thing", a=Json(order=True)), "Thing.a: Json has no order: leave order=True out"),
        (
            resource("Thing", a=Text(filter="range", max_length=9)),
            'Thing.a: Text has no ranges: leave filter="range" out',
        ),
        (
            resource("Thing", a=Text(filter="like", max_length=9)),
            "Thing.a: filter='like' is unknown: give any of equal, in, range",
        ),
        (resource("Thing", a=Text(aliases=("b", "x.")), b=Text()), "Thing.a: its alias 'b' is a name of b already"),
        (resource("Thing", a=Text(aliases="x.")), "Thing.a: its alias 'x.' is no name: give a text without space"),
        (resource("Thing", a=Text(aliases="x.y"), b=Text(aliases="X.Y")), "Thing.b: its alias 'X.Y' is a name of a"),
        (resource("Thing", a=Json(unique=True)), "Thing.a: Json cannot be filtered, unique or a facet"),
        (resource("Thing", a=Integer(facet=True)), "Thing.a: facet is for texts, and it is Integer: leave it out"),
        (resource("Thing", a=Integer(minimum=5, maximum=1)), "Thing.a: its minimum 5 is above its maximum 1"),
        (resource("Thing", a=Integer(maximum=2**63)), "Thing.a: its range from -2147483648 to 9223372036854775808 is"),
        (resource("Thing", a=Integer(minimum=1, default=0)), "Thing.a: its default is 0: give a whole number from 1"),
        (resource("Thing", a=Text(max_length=2, default="abc")), "Thing.a: its default has 3 characters: 2 are"),
        (resource("Thing", a=Text(max_length=0)), "Thing.a: max_length is 0: give 1 or more"),
        (resource("Thing", a=Text(order=True)), "Thing.a: an index takes at most 650 characters: give max_length=650"),
        (resource("Thing", a=Url(unique=True)), "Thing.a: an index takes at most 650 characters: give max_length=650"),
        (resource("Thing", node_id=Text()), "Thing.node_id: every record or query has something of this name"),
        (resource("Thing", a__b=Text()), "Thing.a__b: a field is named in snake case"),
        (resource("Thing", a=Number(minimum=float("inf"))), "Thing.a: minimum is inf: give a number, or leave it out"),
        (resource("Thing", a=Money(minimum=0.5)), "Thing.a: minimum is 0.5: give a whole number"),  # type: ignore[arg-type]
        (resource("Thing", a=Integer(minimum=None)), "Thing.a: minimum is None: give a whole number"),  # type: ignore[arg-type]
        (resource("Resource_", a=Text()), "Resource_: a resource is named with a capital"),
        (resource("Thing", a=Choice()), "Thing.a: it needs different texts to choose from"),
        (resource("Thing", a=Choice("a b")), "Thing.a: 'a b' cannot be a value of a GraphQL enum"),
        (resource("Thing", a=Money(currency="euro")), "Thing.a: currency is 'euro': give a code of ISO 4217"),
        (resource("Thing", a=Money(decimals=9)), "Thing.a: decimals is 9: give 0 to 4"),
        (
            resource("Thing", a=Reference("Other")),
            "Thing.a refers to Other, which is not among the resources: name it in Application",
        ),
        (resource("Thing", a=Reference("Thing", on_delete="forget")), "Thing.a_id: on_delete='forget' is unknown"),
        (
            resource("Thing", a=Reference("Thing", required=True, on_delete="set_null")),
            'Thing.a_id: on_delete="set_null" would empty a required field: give "restrict" or "cascade"',
        ),
        (resource("Thing", a=Reference("Thing", order=True)), "Thing.a_id: Reference has no order: leave"),
        (resource("Thing", a=Reference("Thing"), a_id=Integer()), "Thing: two fields are named a_id: rename one"),
        (resource("Thing", a=Reference("Thing", reverse="A b")), "Thing.a_id: reverse='A b' is no name in snake case"),
        (
            resource("Thing", a=Reference("Thing"), b=Reference("Thing")),
            "Thing has the field of Thing things twice: give plural=..., table=..., facet=..., reverse=...",
        ),
        (resource("Thing", a=Reference("Thing", reverse="version")), "Thing.a_id: reverse='version' is a field"),
        (resource("Thing", a=Text(), upsert=operation(lambda self: self)), "Thing.upsert: every resource has create"),
        (resource("Thing", a=Text(), read=operation(lambda self: self)), "Thing.read: every resource has create, read"),
        (resource("Thing", a=Text(), b=Url), "Thing.b is the type Url: write b = Url()"),
        (resource("Thing", a=Text(), b=derived(lambda self: 1)), "Thing.b: derived needs the type of the value"),  # type: ignore[arg-type]
        (resource("Thing", a=Text(), b=derived(int)(lambda self: 1)), "Thing.b: derived needs the type"),  # type: ignore[arg-type]
        (resource("Thing", a=Choice(["A", "B"])), "Thing.a: it needs different texts to choose from"),  # type: ignore[arg-type]
        (resource("Thing", a=Reference("Thing", reverse="parts")), None),
        (resource("Ledger", a=Text()), None),
        (resource("Value", a=Text()), "Value: the table values is a word of SQL: give table=... after the base class"),
        (resource("Task", a=Text()), "Task is a type of the API already"),
        (object, "<class 'object'> is no resource: give a class that is derived from Resource"),
    ],
)
def test_a_wrong_declaration_stops_the_start_with_a_line(declaration: Any, says: str | None) -> None:
    problems = _problems(declaration)
    if says is None:
        assert problems == []
        return
    assert any(line.startswith(says) for line in problems), problems


def test_every_mistake_of_an_application_is_said_at_once_and_no_traceback() -> None:
    with pytest.raises(SystemExit) as ended:
        Application(resources=[resource("Thing", a=Json(order=True), b=Integer(search=True)), object])  # type: ignore[list-item]
    lines = str(ended.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("afterwrite: ") for line in lines)


def test_names_that_are_given_twice_are_said_with_both() -> None:
    one, other = resource("Thing", kind=SHORT), resource("Other", kind=SHORT)
    remedy = "give plural=..., table=..., facet=..., reverse=... or another name"
    assert _problems(one, other) == [f"Other and Thing both have the query kinds: {remedy}"]
    assert _problems(one, resource("Other", kind=Text(facet="other_kinds", max_length=9))) == []
    twice = _problems(one, resource("Thing", a=Text()))
    assert "Thing is declared twice: give one of the classes another name" in twice
    assert _problems(resource("Thing", task=SHORT)) == [f"Thing and the engine both have the query tasks: {remedy}"]
    assert _problems(resource("Thing", a_1=Text(), a1=Text())) == [f"Thing has the field of Thing a1 twice: {remedy}"]
    ranges = resource("Thing", price=Money(filter="range"), min_price=Integer(filter="equal"))
    assert _problems(ranges) == [f"Thing has the filter of Thing minPrice twice: {remedy}"]
    assert _problems(resource("Thing", order=Choice("A"))) == [f"Thing has the type ThingOrder twice: {remedy}"]


def test_names_that_rest_has_given_already_are_said() -> None:
    remedy = "give plural=..., table=..., facet=..., reverse=... or another name"
    said = f"Problem and the engine both have the OpenAPI schema Problem: {remedy}"
    assert _problems(resource("Problem", kind=SHORT)) == [said]
    limited = resource("Thing", limit=Integer(filter="equal"))
    assert _problems(limited) == [f"Thing has the filter of Thing limit twice: {remedy}"]
    assert _problems(resource("Thing", limit=Integer(filter="range"))) == []


def _problems(*declarations: Any) -> list[str]:
    try:
        Resources(declarations)
    except WrongDeclaration as wrong:
        return wrong.problems
    return []

"""Declarations: what each field takes, what operations and rules do, and which names are derived."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from declarations import Order, resource, resources
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterwrite import (
    Application,
    Boolean,
    Choice,
    Date,
    DateTime,
    Email,
    Integer,
    Json,
    Money,
    Number,
    Rejected,
    Resource,
    Text,
    Url,
    derived,
    operation,
)
from afterwrite.application.roles import split_roles
from afterwrite.resources.field import Field, FieldError, FieldProblem
from afterwrite.resources.registry import Resources, compiled
from afterwrite.resources.write import Operation, Write, WriteError, request_write

NOW_US = 1_790_000_000_000_000
STORED: list[tuple[Field, Any, Any, Any]] = [  # a field, a value, its stored form, and the value as code reads it
    (Text(), "e\u0301", "é", "é"),
    (Url(), "https://x.org/e\u0301", "https://x.org/e\u0301", "https://x.org/e\u0301"),
    (Email(), "mia+1@example.org", "mia+1@example.org", "mia+1@example.org"),
    (Choice("A", "B"), "B", "B", "B"),
    (Integer(), -3, -3, -3),
    (Integer(maximum=2**62), 2**62, 2**62, 2**62),
    (Number(), 2, 2.0, 2.0),
    (Money(), 19.99, 1999, Decimal("19.99")),
    (Money(currency="JPY"), 500, 500, Decimal(500)),
    (Money(currency="KWD"), "1.234", 1234, Decimal("1.234")),
    (Money(minimum=-5), -0.01, -1, Decimal("-0.01")),
    (Boolean(), True, 1, True),
    (Date(), "2026-02-28", "2026-02-28", date(2026, 2, 28)),
    (Date(), date(2026, 2, 28), "2026-02-28", date(2026, 2, 28)),
    (DateTime(), "1970-01-01T01:00:01+01:00", 1_000_000, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    (Json(), {"a": [1, None, "ü"]}, '{"a":[1,null,"ü"]}', {"a": [1, None, "ü"]}),
]
REFUSED: list[tuple[Field, Any, str, str]] = [
    (Text(max_length=2), "abc", "TOO_LONG", "has 3 characters: 2 are the limit"),
    (Text(required=True), " ", "REQUIRED", "is empty: give a text of 1 to 10000 characters"),
    (Text(), "a\0b", "INVALID_TEXT", "has the character U+0000 at position 1: remove it"),
    (Url(), "/a", "INVALID_URL", "is '/a': give an absolute URL"),
    (Email(), "mia", "INVALID_EMAIL", "is 'mia': give an address such as mia@example.org"),
    (Choice("A", "B"), "a", "NOT_A_CHOICE", "is 'a': give one of A, B"),
    (Choice("A"), 1, "WRONG_TYPE", "is 1: give a text"),
    (Integer(minimum=1), 0, "OUT_OF_RANGE", "is 0: give a whole number from 1 to 2147483647"),
    (Integer(), True, "WRONG_TYPE", "is True: give a whole number"),
    (Integer(), 1.5, "WRONG_TYPE", "is 1.5: give a whole number"),
    (Number(minimum=0), -1, "OUT_OF_RANGE", "is -1: give a number of 0 or more"),
    (Number(maximum=5), 6, "OUT_OF_RANGE", "is 6: give a number of 5 or less"),
    (Number(), float("nan"), "NOT_FINITE", "is nan: give a finite number"),
    (Number(), 10**400, "NOT_FINITE", "give a finite number"),
    (Money(currency="JPY"), 0.5, "TOO_MANY_DECIMALS", "is 0.5: give a whole number"),
    (Money(currency="KWD"), 0.0005, "TOO_MANY_DECIMALS", "is 0.0005: give at most three decimals"),
    (Money(maximum=10), 11, "OUT_OF_RANGE", "is 11: give a number from 0 to 10"),
    (Boolean(), 1, "WRONG_TYPE", "is 1: give true or false"),
    (Date(), "2026-02-30", "INVALID_TIME", "is '2026-02-30': give a date such as 2026-11-30"),
    (Date(), datetime(2026, 2, 1, tzinfo=UTC), "WRONG_TYPE", "give a date such as 2026-11-30"),
    (DateTime(), "2026-02-01T00:00:00", "INVALID_TIME", "give a time with its offset"),
    (DateTime(), "0001-01-01T00:00:00+14:00", "OUT_OF_RANGE", "give a time of the years 1 to 9999"),
    (Json(max_bytes=4), "abc", "TOO_LONG", "has 5 bytes as JSON: 4 are the limit"),
    (Json(), float("inf"), "WRONG_TYPE", "is no JSON value that can be stored"),
    (Json(), "a\0", "INVALID_TEXT", "has a text with the character U+0000: remove it"),
]


@pytest.mark.parametrize(("field", "value", "stored", "read"), STORED)
def test_a_field_stores_a_value_exactly(field: Field, value: Any, stored: Any, read: Any) -> None:
    found = field.check("x", value)
    assert (found, type(found)) == (stored, field.stored)
    assert field.value_of(found) == read
    thing = compiled(resource("Thing", x=field))
    checked, refused = thing.check_new({"x": value})
    assert (list(checked.values()), refused) == ([stored], [])
    record: Any = thing.apply(_write(thing, Operation.CREATE, checked), None)
    assert record.x == read


@pytest.mark.parametrize(("field", "value", "problem", "says"), REFUSED)
def test_a_value_that_is_refused_says_why_and_what_to_do(field: Field, value: Any, problem: str, says: str) -> None:
    with pytest.raises(FieldError) as refused:
        field.check("x", value)
    assert (refused.value.problem, refused.value.field) == (problem, "x")
    assert says in refused.value.detail
    [error] = compiled(resource("Thing", x=field)).check_new({"x": value})[1]
    assert str(error) == str(refused.value)


_ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.dates() | st.datetimes()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: _ANY | likely
            for name, likely in {
                "number": st.just("A1"),
                "state": st.sampled_from(("OPEN", "SENT", "?")),
                "total": st.integers(0, 10**13).map(lambda minor: minor / 100),
                "tip": st.integers(0, 9).map(float),
                "weight": st.floats(0, 5),
                "pieces": st.integers(0, 2**40),
                "gift": st.booleans(),
                "due": st.dates() | st.just("2026-01-02"),
                "paid_at": st.datetimes(timezones=st.just(UTC)),
                "link": st.just("https://x.org/a"),
                "mail": st.just("a@b.example"),
                "extra": st.just([1]),
            }.items()
        },
    )
)
def test_the_fast_check_decides_like_the_one_field_by_field(values: dict[str, Any]) -> None:
    order = compiled(Order)
    fast, slow = order.check_new(values), order.check_one_by_one(values)
    assert repr(fast) == repr(slow)  # NaN is not equal to itself
    assert [type(value) for value in fast[0].values()] == [type(value) for value in slow[0].values()]


def test_defaults_are_for_what_is_left_out_and_null_is_null() -> None:
    order = compiled(Order)
    stored, refused = order.check_new({"number": "1", "total": 1.0})
    assert refused == []
    assert (stored["state"], stored["pieces"], stored["gift"]) == ("OPEN", 1, 0)
    assert [error.field for error in order.check_new({"number": "1", "total": 1.0, "state": None})[1]] == ["state"]
    optional = compiled(resource("Thing", size=Integer(default=7)))
    for given_fields, size in (({}, 7), ({"size": None}, None), ({"size": 3}, 3)):
        checked, _ = optional.check_new(given_fields)
        record: Any = optional.apply(_write(optional, Operation.CREATE, checked), None)
        assert record.size == size


def test_an_immutable_field_is_refused_in_an_update_and_unknown_ones_by_name() -> None:
    _, refused = compiled(Order).check_changes({"number": "2", "note": "x"})
    assert [(error.field, error.problem) for error in refused] == [("number", FieldProblem.IMMUTABLE)]


def test_a_record_reads_like_its_declaration_and_is_a_tuple_of_what_is_stored() -> None:
    record = _order(due="2026-01-02", extra={"a": 1}, gift=True)
    assert issubclass(type(record), Order)
    assert (record.total, record.total_float, record.total_minor) == (Decimal("12.50"), 12.5, 1250)
    assert (record.due, record.due_iso, record.extra, record.gift) == (date(2026, 1, 2), "2026-01-02", {"a": 1}, True)
    assert (record.per_piece, record.version, record.search_text) == (1250, 1, "a1\x1f")
    with pytest.raises(AttributeError):
        record.note = "x"


def test_operations_are_applied_with_their_arguments_and_the_time_of_acceptance() -> None:
    paid = _operated(_order(), "PAY", {"amount": 1250})
    assert (paid.state, paid.total, paid.version) == ("PAID", 0, 2)
    assert paid.paid_at_us == paid.updated_at_us == NOW_US + 1
    assert _operated(_order(), "ADD", {}).pieces == 2
    assert _operated(_order(), "ADD", {"pieces": 5}).pieces == 6
    assert _operated(_order(), "POSTPONE", {"until": "2027-01-02T03:00:00Z"}).due == date(2027, 1, 2)


@pytest.mark.parametrize(
    ("code", "operation_code", "arguments", "says"),
    [
        ("TOO_MUCH", "PAY", {"amount": 1251}, "1 cents are too much"),
        ("CONSTRAINT_VIOLATED", "ADD", {"pieces": -2}, "add is refused: pieces is -1: give a whole number from 0 to"),
        ("UNREADABLE", "SELL", {}, "is the operation SELL of Order, which this version does not know"),
        ("UNREADABLE", "ADD", {"size": 1}, "gives add size, which this version does not know"),
    ],
)
def test_an_operation_that_fails_says_why(code: str, operation_code: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(WriteError) as failed:
        _operated(_order(), operation_code, arguments)
    assert failed.value.code == code
    assert says in failed.value.message


def test_a_rule_over_several_fields_holds_at_creation_and_after_every_change() -> None:
    order = compiled(Order)
    stored, _ = order.check_new({"number": "1", "total": 1.0, "gift": True, "tip": 1.0})
    broken = order.broken_rule(stored)
    assert broken is not None
    assert (broken.code, order.rejections) == ("GIFT_WITH_TIP", ["NOT_OPEN", "TOO_MUCH", "GIFT_WITH_TIP"])
    with pytest.raises(WriteError, match="a gift has no tip"):
        order.apply(_write(order, Operation.UPDATE, {"tip_minor": 1}), _order(gift=True))


def test_an_operation_with_an_error_of_its_own_fails_alone() -> None:
    @operation
    def divide(self: Any, by: int) -> Any:
        """Divide it."""
        return self.replace(size=self.size // by)

    @operation
    def forget(self: Any) -> None:
        """Return nothing."""

    @operation
    def refuse(self: Any, code: str) -> None:
        """Refuse with a code that is known at run time only."""
        raise _made(code)

    thing = compiled(resource("Thing", size=Integer(required=True), divide=divide, forget=forget, refuse=refuse))
    record = thing.apply(_write(thing, Operation.CREATE, {"size": 4}), None)
    for name, arguments, says in (
        ("DIVIDE", {"by": 0}, "Thing.divide raised ZeroDivisionError"),
        ("FORGET", {}, "Thing.forget returned None: let it return self.replace(...)"),
        ("REFUSE", {"code": "X"}, "X: why"),
    ):
        with pytest.raises(WriteError) as failed:
            thing.apply(_write(thing, name, arguments), record)
        assert (failed.value.code, failed.value.message.startswith(says)) == ("OPERATION_FAILED", True)


def _made(code: str) -> Rejected:
    return Rejected(code, "why")


def test_fields_and_arguments_may_have_any_other_name_and_classes_acronyms() -> None:
    """Names of our own functions' parameters, and Choices of one name with different choices."""

    @operation
    def late(self: Any, reason: Annotated[str, Choice("SLOW", "LOST")], operation: int = 1) -> Any:
        """It is late."""
        return self

    @operation
    def back(self: Any, reason: Annotated[str, Choice("BROKEN")], resource: str | None) -> Any:
        """It comes back."""
        return self

    names = ("info", "context", "resource", "operation", "types", "filters", "self", "values", "records", "key", "name")
    fields = {name: Text(filter="equal", max_length=9) for name in names}
    level = derived(Choice("LOW", "HIGH"))(lambda _self: "LOW")
    skus = resource("SKU", **fields, late=late, back=back, level=level)
    schema = Application(resources=[skus]).schema
    assert schema.mutation_type is not None
    arguments = {name: field.args for name, field in schema.mutation_type.fields.items() if name.endswith("Sku")}
    assert {"createSku", "lateSku", "backSku", "updateSku", "deleteSku"} == arguments.keys()
    assert arguments["createSku"].keys() >= set(names)
    assert [str(arguments[name]["reason"].type) for name in ("lateSku", "backSku")] == [
        "SKULateReason!",
        "SKUBackReason!",
    ]
    assert str(schema.type_map["SKU"].fields["level"].type) == "SKULevel"  # type: ignore[attr-defined]
    found = dict(split_roles(Application(resources=[skus]).resources, {}).of_resources)
    assert {f"Mutation.{name}" for name in arguments} <= found.keys()


def test_optional_arguments_are_left_out_or_null_as_they_say() -> None:
    @operation
    def note(self: Any, text: str | None, size: int = 2, more: int | None = None) -> Any:
        """Write it down."""
        return self.replace(text=f"{text} {size} {more}")

    thing = compiled(resource("Thing", text=Text(), note=note))
    record = thing.apply(_write(thing, Operation.CREATE, {}), None)
    for given_arguments, text in (
        ({}, "None 2 None"),
        ({"text": "a", "size": 3, "more": 4}, "a 3 4"),
        ({"text": None, "more": None}, "None 2 None"),
    ):
        stored, refused = thing.operations["NOTE"].check(given_arguments)
        assert refused == []
        after: Any = thing.apply(_write(thing, "NOTE", stored), record)
        assert after.text == text
    assert [error.field for error in thing.operations["NOTE"].check({"size": None})[1]] == ["size"]


def test_a_rule_with_an_error_of_its_own_is_told_at_creation_and_blocks_nothing() -> None:
    def check(self: Any) -> None:
        """Break in several ways."""
        if self.code is None:
            raise _made("HIDDEN")
        self.code.nothing()

    thing = compiled(resource("Thing", code=Text(), check=check))
    for code, says in ((None, "HIDDEN: why"), ("x", "Thing.check raised AttributeError")):
        broken = thing.broken_rule({"code": code})
        assert broken is not None
        assert (broken.code, broken.message.startswith(says)) == ("RULE_FAILED", True)
        with pytest.raises(WriteError, match=says) as failed:
            thing.apply(_write(thing, Operation.CREATE, {"code": code}), None)
        assert failed.value.code == "OPERATION_FAILED"


def test_a_rule_sees_the_time_of_a_creation_and_attributes_of_a_record_are_no_clocks() -> None:
    def check(self: Any) -> None:
        """Only for what is new."""
        if self.created_at.year < 2026:
            raise Rejected("OLD", "it is old")

    @operation
    def take(self: Any) -> Any:
        """Read a field with the name of a clock."""
        return self.replace(today=self.today + 1)

    thing = compiled(resource("Thing", today=Integer(default=1), check=check, take=take))
    assert thing.broken_rule({"today": 1}) is None


def test_a_repeat_is_recognised_by_a_version_with_another_default() -> None:
    before, after = (compiled(resource("Thing", a=Text(), b=Integer(default=size))) for size in (1, 2))
    sent: tuple[dict[str, Any], ...] = ({"a": "x"}, {"a": "x", "b": 2})
    compared = [
        [request_write(thing, Operation.CREATE, None, thing.check_new(one)[0], one).compared for one in sent]
        for thing in (before, after)
    ]
    assert compared[0] == compared[1]
    assert compared[0][0] != compared[0][1]


def test_names_are_derived_and_can_be_given() -> None:
    class OrderLine(Resource):
        """A line."""

        title = Text()

    class PersonRecord(Resource, name="Person", plural="people", table="persons"):
        """A person."""

        name = Text()

    line, person = Resources([OrderLine, PersonRecord]).values()
    assert (line.snake, line.plural, line.table, line.id_name) == (
        "order_line",
        "order_lines",
        "order_lines",
        "order_line_id",
    )
    assert (person.name, person.plural, person.table) == ("Person", "people", "persons")
    names = {name: compiled(resource(name, a=Text())).plural for name in ("Box", "City", "Day", "HTTPHook", "Bus")}
    assert names == {"Box": "boxes", "City": "cities", "Day": "days", "HTTPHook": "http_hooks", "Bus": "buses"}


def _order(**fields: Any) -> Any:
    order = compiled(Order)
    stored, refused = order.check_new({"number": "A1", "total": 12.5, **fields})
    assert refused == []
    return order.apply(_write(order, Operation.CREATE, stored), None)


def _operated(record: Any, code: str, given_arguments: dict[str, Any]) -> Any:
    order, stored = compiled(Order), given_arguments
    if code in order.operations and not given_arguments.keys() - order.operations[code].arguments.keys():
        stored, refused = order.operations[code].check(given_arguments)
        assert refused == []
    return order.apply(_write(order, code, stored, NOW_US + 1), record)


def _write(owner: Any, code: str, stored: dict[str, Any], at_us: int = NOW_US) -> Write:
    request = request_write(owner, code, 1, stored)
    return Write(9, owner.name, code, 1, request.arguments, at_us)


def test_resources_are_a_mapping_in_the_order_of_declaration() -> None:
    assert list(Resources([Order, resource("Thing", a=Text())])) == ["Order", "Thing"]
    assert list(resources("Thing", a=Text())["Thing"].fields) == ["a"]

"""An export of any resource is loaded as it was, whatever the values of its fields are."""

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from shipments_app import ShipmentOrder

from afterwrite.loading import RecordFile
from afterwrite.loading.spreadsheet_cells import export_format
from afterwrite.resources.compiled import Record
from afterwrite.resources.registry import compiled

SHIPMENT = compiled(ShipmentOrder)
EXPORT = export_format(SHIPMENT)
# With what is of meaning in a cell more often than chance would have it.
PIECES = st.sampled_from(
    ["'", "=", "+", "-", "@", "\t", "\r", "\n", ";", ",", '"', " ", "{", "[", "\uff1d", "N/A", "1"]
)
TEXTS = st.lists(PIECES | st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map("".join)
JSON_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner | st.none(), max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SHIPMENTS = st.fixed_dictionaries(
    {
        "sku": TEXTS.filter(lambda text: text.strip() != ""),
        "total": st.integers(0, 10**13).map(lambda cents: cents / 100),
    },
    optional={
        "note": st.none() | TEXTS,
        "state": st.just("OPEN"),
        "customs": st.integers(0, 10**13).map(lambda minor: minor / 1000),
        "weight": st.floats(0, allow_infinity=False),
        "quality": st.floats(0, 10),
        "pieces": st.integers(0, 2**62),
        "is_gift": st.booleans(),
        "due": st.dates(),
        "sent_at": st.datetimes(timezones=st.timezones()),
        "tracking": st.sampled_from(["https://x.org/a|https://y.org", "https://x.org/a,b", "HTTPS://x.org/=1"]),
        "mail": st.sampled_from(["mia@example.org", "+a@b.org", "=1@b.org", "'x@b.org", "-@b.org"]),
        "extra": JSON_VALUES,
    },
)


def csv_text(records: list[Record]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows([EXPORT.names, *map(EXPORT.cells, records)])
    return text.getvalue()


def jsonl_text(records: list[Record]) -> str:
    return "".join(json.dumps(EXPORT.values(record), ensure_ascii=False) + "\n" for record in records)


def reloaded(name: str, text: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(text.encode())
        with RecordFile(SHIPMENT, path) as source:
            rows = [row for _, row in source.rows()]
            assert source.notes() == ["Columns ignored: id, created_at, updated_at, version"]
    found = []
    for row in rows:
        assert isinstance(row, dict)
        stored, refused = SHIPMENT.check_new(row)
        assert refused == []
        found.append(stored)
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SHIPMENTS, min_size=1, max_size=3))
@example([{"sku": "'", "total": 1.234, "note": "", "extra": "", "weight": 5e-324}])
@example([{"sku": "N/A", "total": 0.0, "note": None, "extra": "'=1", "weight": 1e22, "customs": 123.456}])
@example([{"sku": " a ", "total": 1, "note": "'", "extra": [], "quality": -0.0, "pieces": 2**62, "is_gift": False}])
def test_every_value_of_every_field_type_is_reloaded_exactly(items: list[dict[str, Any]]) -> None:
    checked = [SHIPMENT.check_new(item) for item in items]
    stored = [fields for fields, refused in checked if not refused]
    if len(stored) < len(items):
        return
    records = [SHIPMENT.record(id=1, created_at_us=0, updated_at_us=0, version=1, **fields) for fields in stored]
    for name, text in (("a.csv", csv_text(records)), ("a.jsonl", jsonl_text(records))):
        found = reloaded(name, text)
        assert found == stored
        assert [list(map(type, one.values())) for one in found] == [list(map(type, one.values())) for one in stored]


def test_an_export_that_a_spreadsheet_has_saved_again_is_read() -> None:
    stored, _ = SHIPMENT.check_new({"sku": "=1", "total": 5.5, "is_gift": True})
    record = SHIPMENT.record(id=1, created_at_us=0, updated_at_us=0, version=1, **stored)
    saved = csv_text([record]).replace(",", ";").replace('"', "").replace("5.5", "5,50").replace("true", "TRUE")
    assert reloaded("a.csv", saved) == [stored]


@pytest.mark.parametrize("missing", ["note", "customs", "extra"])
def test_an_export_from_before_a_field_was_declared_is_read_as_exactly(missing: str) -> None:
    stored, _ = SHIPMENT.check_new({"sku": "'=1", "total": 5.5})
    record = SHIPMENT.record(id=1, created_at_us=0, updated_at_us=0, version=1, **stored)
    place = EXPORT.names.index(missing)
    rows = [row[:place] + row[place + 1 :] for row in csv.reader(io.StringIO(csv_text([record])))]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    assert reloaded("a.csv", text.getvalue()) == [stored]

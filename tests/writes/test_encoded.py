"""The stored text of a write never changes its form: idempotency keys are compared by it."""

import json
from typing import Any

from declared import PRODUCT
from hypothesis import example, given
from hypothesis import strategies as st

from afterwrite.resources.write import Operation, request_write

NUMBERS = st.floats(allow_nan=False) | st.floats(1e-6, 1e-3) | st.floats(1e14, 1e18) | st.integers() | st.booleans()
TEXTS = st.text() | st.text(alphabet=st.characters(max_codepoint=0x100))


@given(st.dictionaries(st.sampled_from(list(PRODUCT.columns)), st.none() | NUMBERS | TEXTS))
@example({"rating_rate": 1e-5, "price_minor": 2**64, "title": "\ud800"})
@example({"rating_rate": 1e16, "title": '\x7f\x00\x1f\b\f\n\r\t"\\/\u2028\ue000\U0001f600'})
@example({"rating_rate": -0.0, "rating_count": -(2**63)})
@example({"rating_rate": float("inf")})
def test_a_write_is_stored_as_the_standard_library_encodes_it(fields: dict[str, Any]) -> None:
    made = request_write(PRODUCT, Operation.UPDATE, 1, fields)
    assert made.arguments == json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert made.compared == made.arguments

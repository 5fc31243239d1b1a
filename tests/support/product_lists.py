"""Makes lists of products, right and wrong ones, for the tests of the product pipeline."""

from hypothesis import strategies as st

LAMP = {"title": "  Desk   Lamp ", "price": 19.99, "category": "Home-Lamps", "rating": {"rate": 4.5, "count": 12}}

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PRICES = st.integers(0, 10**13).map(lambda minor: minor / 100) | st.sampled_from(("1.50", " 7 ", 3, 0.001, "x"))
ITEMS = st.dictionaries(
    st.sampled_from(("title", "price", "description", "category", "image", "rating", "rating_rate", "rating_count"))
    | st.text(max_size=3),
    JSON_VALUES,
    max_size=6,
)
LIKELY_ITEMS = st.fixed_dictionaries(
    {"title": st.text(max_size=20), "price": PRICES},
    optional={
        "category": st.none() | st.sampled_from(("a", "A", "b-c", "b c", " ")) | st.text(max_size=5),
        "rating": st.floats(0, 5) | st.fixed_dictionaries({"rate": st.integers(-1, 6)}) | JSON_VALUES,
    },
)
PAYLOADS = st.fixed_dictionaries({"products": st.lists(ITEMS | LIKELY_ITEMS, min_size=1, max_size=30)})

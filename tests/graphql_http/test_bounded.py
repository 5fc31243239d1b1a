"""The cache of documents: what it keeps when there is more than it holds."""

from __future__ import annotations

from afterwrite.graphql_http.bounded import BoundedStore


def _store(entries: int = 100, chars: int = 10_000) -> BoundedStore[str]:
    return BoundedStore(entries, max_chars=chars, max_chars_each=chars // 2)


def _flood(store: BoundedStore[str], count: int, times: int = 1, chars: int = 1, first: int = 0) -> None:
    for number in range(first, first + count):
        for _ in range(times):
            if store.get(f"flood {number}") is None:
                store.keep(f"flood {number}", "", chars)


def test_what_is_used_again_outlives_a_flood_of_what_is_used_once() -> None:
    store = _store()
    kept = [f"honest {number}" for number in range(80)]
    for key in kept:
        store.keep(key, key, 1)
        assert store.get(key) == key
    _flood(store, 10_000)
    assert [store.get(key) for key in kept] == kept


def test_what_is_used_all_the_time_outlives_a_flood_of_what_is_used_twice() -> None:
    store = _store()
    store.keep("honest", "kept", 1)
    for number in range(1_000):
        assert store.get("honest") == "kept"
        _flood(store, 20, times=2, first=number * 20)


def test_a_key_that_comes_again_soon_after_its_eviction_stays() -> None:
    store = _store()
    _flood(store, 100)
    store.keep("honest", "kept", 1)
    _flood(store, 100, first=100)
    assert store.get("honest") is None
    store.keep("honest", "kept", 1)
    _flood(store, 10_000, first=200)
    assert store.get("honest") == "kept"


def test_entries_and_characters_are_bounded() -> None:
    store = _store(entries=100, chars=10_000)
    _flood(store, 1_000, times=3, chars=1)
    assert len(store) == 100
    _flood(store, 1_000, chars=999, first=1_000)
    assert len(store) <= 100
    assert sum(entry.chars for entry in store._entries.values()) == store._chars <= 10_000
    assert store._small_chars == sum(store._entries[key].chars for key in store._small)
    assert sorted([*store._small, *store._main]) == sorted(store._entries)
    store.keep("long", "", 5_001)
    assert store.get("long") is None


def test_a_cached_key_keeps_its_value() -> None:
    store = _store()
    store.keep("a", "first", 1)
    store.keep("a", "second", 1)
    assert store.get("a") == "first"
    assert len(store) == 1


def test_what_was_evicted_is_remembered_for_as_many_keys_as_the_cache_has() -> None:
    store = _store(entries=10)
    _flood(store, 1_000)
    assert len(store._evicted) == 10

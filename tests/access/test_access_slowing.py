"""Wrong keys are rate-limited by address; a right key passes at any time."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from access_site import KEYS, SECRETS, Clock, Site, bearer, code_of, site_over
from server_process import ServerProcess

from afterwrite.access.keys import Key, hash_of
from afterwrite.access.roles import Role
from afterwrite.access.slowing import ADDRESSES_MAX, KeyTries, TooManyTries, place_of

KEY = Key("ann", Role.READ, hash_of("right"))
WRONG = {"Authorization": "Bearer aw_wrong"}


def tries_with(clock: Clock) -> KeyTries:
    def find(secret: str) -> Key | None:
        return KEY if secret == "right" else None

    return KeyTries(find, find, clock)


def fail(tries: KeyTries, count: int, address: str = "10.0.0.1") -> None:
    for _ in range(count):
        assert tries.look_up(address, "wrong") is None


def wait_of(tries: KeyTries, address: str = "10.0.0.1", secret: str = "wrong") -> int:
    with pytest.raises(TooManyTries) as slowed:
        tries.look_up(address, secret)
    return slowed.value.seconds


def test_after_five_wrong_keys_the_wait_doubles_up_to_a_minute() -> None:
    clock = Clock()
    tries = tries_with(clock)
    fail(tries, 5)
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        assert wait_of(tries) == seconds
        clock.now += seconds - 0.01
        assert wait_of(tries) == 1
        clock.now += 0.01
        fail(tries, 1)


def test_the_file_of_keys_is_not_looked_at_meanwhile() -> None:
    looked = []
    tries = KeyTries(lambda _: None, lambda secret: looked.append(secret), Clock())
    fail(tries, 5)
    assert len(looked) == 5
    wait_of(tries)
    assert len(looked) == 5


def test_a_minute_without_a_wrong_key_forgives() -> None:
    clock = Clock()
    tries = tries_with(clock)
    fail(tries, 4)
    clock.now += 61
    fail(tries, 4)
    clock.now += 61
    fail(tries, 5)
    assert wait_of(tries) == 1
    clock.now += 62
    fail(tries, 4)


def test_a_right_key_passes_beside_any_number_of_wrong_ones() -> None:
    tries = tries_with(Clock())
    fail(tries, 5)
    for _ in range(3):
        assert wait_of(tries) == 1
        assert tries.look_up("10.0.0.1", "right") == KEY  # never used from there before
    assert tries.look_up("10.0.0.2", "wrong") is None


def test_a_right_key_is_no_way_to_more_tries() -> None:
    tries = tries_with(Clock())
    for _ in range(4):
        fail(tries, 1)
        assert tries.look_up("10.0.0.1", "right") == KEY
    fail(tries, 1)
    assert wait_of(tries) == 1


def test_many_tries_at_once_are_not_many_tries_for_one_wait() -> None:
    clock = Clock()
    tries = tries_with(clock)
    fail(tries, 5)
    clock.now += 1
    outcomes: list[object] = []
    gate = threading.Barrier(8)

    def attempt() -> None:
        gate.wait()
        try:
            outcomes.append(tries.look_up("10.0.0.1", "wrong"))
        except TooManyTries as slowed:
            outcomes.append(slowed)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(None) == 1


def test_memory_is_bounded() -> None:
    tries = tries_with(Clock())
    fail(tries, 5, "1.1.1.1")
    for number in range(ADDRESSES_MAX):
        fail(tries, 1, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(tries._failed) == ADDRESSES_MAX
    fail(tries, 1, "1.1.1.1")  # the oldest was dropped


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_one_customer_of_ipv6_is_one_address(address: str, place: str) -> None:
    assert place_of(address) == place


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_over(tmp_path / "data") as made:
        yield made


def test_over_http_only_wrong_keys_are_answered_429(site: Site) -> None:
    for _ in range(5):
        answer = site.send("GET", "/api/entries", headers=WRONG)
        assert (answer.status_code, code_of(answer)) == (401, "UNAUTHENTICATED")
    for path in ("/api/entries", "/graphql", "/health"):
        answer = site.send("GET", path, headers=WRONG)
        refused = (answer.status_code, code_of(answer), answer.headers["Retry-After"])
        assert refused == (429, "TOO_MANY_TRIES", "1")
        assert site.send("GET", "/api/entries", Role.READ).status_code == 200
    site.clock.now += 1
    assert site.send("GET", "/api/entries", headers=WRONG).status_code == 401


def test_signing_in_counts_with_the_same_tries_and_takes_a_right_key_at_any_time(site: Site) -> None:
    for _ in range(5):
        site.send("GET", "/api/entries", headers=WRONG)
    browser = site.client()
    page = browser.get("/sign-in").get_data(as_text=True)
    token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    answer = browser.post("/sign-in", data={"csrf_token": token, "key": "aw_wrong"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    form = {"csrf_token": token, "key": SECRETS[Role.READ]}
    assert browser.post("/sign-in", data=form).status_code == 303


@pytest.mark.one_database("which keys are known, before any database")
@pytest.mark.parametrize("kind", ["granian", "gunicorn"])
def test_a_poller_with_a_wrong_key_locks_no_good_key_out_even_after_a_restart(
    make_server: Callable[..., ServerProcess], kind: str
) -> None:
    server = make_server(SERVER=kind, API_KEYS=KEYS).start()
    for _ in range(2):
        with contextlib.closing(server.client()) as client:
            statuses = set()
            for _ in range(30):
                statuses.add(client.request("GET", "/api/entries", headers=WRONG)[0])
                assert client.request("GET", "/api/entries", headers=bearer(Role.READ))[0] == 200
            assert statuses == {401, 429}
        server.stop()
        server.start()


def test_other_schemes_are_no_try(site: Site) -> None:
    for _ in range(9):
        answer = site.send("GET", "/api/entries", headers={"Authorization": "Basic YTpi"})
        assert answer.status_code == 401
    assert site.send("GET", "/api/entries", Role.READ).status_code == 200
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": bearer(Role.READ)["Authorization"].replace("Bearer", scheme)}
        assert site.send("GET", "/api/entries", headers=headers).status_code == 200

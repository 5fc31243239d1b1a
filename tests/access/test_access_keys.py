"""Keys: what a file and API_KEYS may hold, how they are compared, and that a changed file counts by itself."""

import errno
import hmac
import logging
import os
import stat
from pathlib import Path

import pytest
from access_site import Clock

from afterwrite.access.key_file import add_key, read_keys, remove_key
from afterwrite.access.key_ring import KeyRing
from afterwrite.access.keys import Key, find_key, hash_of, keys_of_file, keys_of_setting, new_secret
from afterwrite.access.roles import Role
from afterwrite.base import durable_file
from afterwrite.base.settings import Settings, SettingsError

HASH = hash_of("aw_x")


def ring_over(folder: Path, clock: Clock, **settings: str) -> KeyRing:
    return KeyRing(Settings(data_dir=folder, **settings), clock)  # type: ignore[arg-type]


def test_a_secret_has_256_random_bits_and_only_its_hash_is_kept() -> None:
    secret = new_secret()
    assert secret.startswith("aw_")
    assert len(secret) == 3 + 43  # 32 bytes in base 64
    assert secret != new_secret()
    key = Key("ann", Role.READ, hash_of(secret))
    assert secret not in key.line
    assert keys_of_setting(key.line) == (key,)
    assert find_key([key], hash_of(secret)) == key


def test_lines_are_read_and_comments_are_none() -> None:
    text = f"# who does what\n\nann:read:{HASH}\n  bob:admin:{hash_of('aw_y')}  \n"
    assert [(key.name, key.role) for key in keys_of_file(text, "keys")] == [("ann", Role.READ), ("bob", Role.ADMIN)]
    assert len(keys_of_setting(f"ann:read:{HASH}, ,bob:write:{HASH},")) == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"ann:owner:{HASH}", "the role 'owner': use one of read, write, admin"),
        ("ann:read:sha256-12", "no hash of the form"),
        ("ann:read", "8 characters are not a key"),
        ("aw_a_secret_by_mistake", "22 characters are not a key"),
        (f"an n:read:{HASH}", "'an n' cannot name a key"),
        (f"{'a' * 65}:read:{HASH}", "1 to 64"),
        (f":read:{HASH}", "'' cannot name a key"),
        (f"first:read:{HASH}", "another key named 'first'"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number_and_what_fits(line: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        keys_of_file(f"first:read:{HASH}\n# a comment\n{line}\n", "api-keys")
    assert "api-keys, line 3: " in str(refused.value)
    assert told in str(refused.value)
    assert "by_mistake" not in str(refused.value)  # a secret does not go into a log
    with pytest.raises(SettingsError, match="API_KEYS, key 2: "):
        keys_of_setting(f"first:read:{HASH},{line}")


def test_a_name_is_used_once_also_over_both_places(tmp_path: Path) -> None:
    add_key(tmp_path / "api-keys", Key("ann", Role.READ, HASH))
    with pytest.raises(SettingsError, match="two keys named 'ann'"):
        ring_over(tmp_path, Clock(), api_keys=f"ann:read:{HASH}")


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def noted(one: str, other: str) -> bool:
        compared.append((one, other))
        return hmac_compare(one, other)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", noted)
    made = [Key(f"k{number}", Role.READ, hash_of(f"aw_{number}")) for number in range(3)]
    assert find_key(made, hash_of("aw_0")) == made[0]
    assert compared == [(key.hash, hash_of("aw_0")) for key in made]  # the first one fits: it goes on all the same
    assert find_key(made, hash_of("aw_9")) is None
    assert len(compared) == 6


def test_a_key_that_is_added_or_removed_counts_without_a_restart(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "api-keys"
    ring = ring_over(tmp_path, clock)
    assert not ring.had_keys
    add_key(path, Key("ann", Role.READ, HASH))
    ring.refresh()
    assert ring.named("ann") is None  # it is looked at once a second at the most
    clock.now += 1
    ring.refresh()
    assert ring.find("aw_x") == Key("ann", Role.READ, HASH)
    assert ring.had_keys
    remove_key(path, "ann")
    clock.now += 1
    ring.refresh()
    assert ring.find("aw_x") is None
    assert ring.had_keys  # it does not become open again


def test_a_key_that_was_added_just_now_is_found_at_once(tmp_path: Path) -> None:
    ring = ring_over(tmp_path, Clock())
    add_key(tmp_path / "api-keys", Key("ann", Role.READ, HASH))
    assert ring.find("aw_x") == Key("ann", Role.READ, HASH)


@pytest.mark.parametrize("spoil", ["wrong", "doubled", "not text"])
def test_a_file_that_cannot_be_used_any_more_keeps_the_keys_and_is_logged_once(
    tmp_path: Path, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = Clock(), tmp_path / "api-keys"
    add_key(path, Key("ann", Role.READ, HASH))
    ring = ring_over(tmp_path, clock, api_keys=f"bob:read:{hash_of('aw_y')}")
    match spoil:
        case "wrong":
            path.write_text("ann:everything\n")
        case "doubled":
            path.write_text(f"bob:read:{HASH}\n")
        case _:
            path.write_bytes(b"\xff\xfe\x00")
    for _ in range(3):
        clock.now += 1
        ring.refresh()
    assert ring.find("aw_x") is not None
    assert ring.find("aw_y") is not None
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "the 2 known before stay valid" in record.getMessage()
    add_key(tmp_path / "new", Key("eve", Role.READ, HASH))
    (tmp_path / "new").replace(path)
    clock.now += 1
    ring.refresh()
    assert ring.named("ann") is None
    assert ring.named("eve") is not None


@pytest.mark.parametrize("is_named", [False, True])
def test_a_file_that_has_gone_holds_no_keys_and_opens_nothing(tmp_path: Path, is_named: bool) -> None:
    clock, path = Clock(), tmp_path / "api-keys"
    add_key(path, Key("ann", Role.READ, HASH))
    given = f"bob:read:{hash_of('aw_y')}"
    ring = ring_over(tmp_path, clock, api_keys=given, api_keys_file=str(path) if is_named else "")
    path.unlink()
    clock.now += 1
    ring.refresh()
    assert ring.find("aw_x") is None
    assert ring.find("aw_y") is not None
    assert ring.had_keys
    add_key(path, Key("eve", Role.READ, HASH))
    clock.now += 1
    ring.refresh()
    assert ring.named("eve") is not None


def test_a_file_that_could_not_be_read_for_a_moment_is_read_once_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, path = Clock(), tmp_path / "api-keys"
    add_key(path, Key("ann", Role.READ, HASH))
    ring = ring_over(tmp_path, clock)
    add_key(path, Key("bob", Role.READ, hash_of("aw_y")))
    read_text = Path.read_text
    failed: list[Path] = []

    def fail_once(self: Path, *arguments: object, **options: object) -> str:
        if not failed:
            failed.append(self)
            raise OSError(errno.EMFILE, "Too many open files")
        return read_text(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", fail_once)
    for known in (None, Key("bob", Role.READ, hash_of("aw_y"))):
        clock.now += 1
        ring.refresh()  # the file itself is the same both times
        assert ring.named("bob") == known
        assert ring.named("ann") is not None


def test_a_file_that_a_setting_names_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        ring_over(tmp_path, Clock(), api_keys_file=str(tmp_path / "elsewhere"))
    add_key(tmp_path / "elsewhere", Key("ann", Role.READ, HASH))
    assert ring_over(tmp_path, Clock(), api_keys_file=str(tmp_path / "elsewhere")).named("ann")


def test_the_file_is_changed_in_one_step_and_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "api-keys"
    add_key(path, Key("ann", Role.READ, HASH))
    first = path.stat().st_ino
    path.write_text(f"# mine\n{path.read_text()}")
    add_key(path, Key("bob", Role.ADMIN, HASH))
    assert path.stat().st_ino != first
    assert path.read_text() == f"# mine\nann:read:{HASH}\nbob:admin:{HASH}\n"
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    remove_key(path, "ann")
    assert path.read_text() == f"# mine\nbob:admin:{HASH}\n"
    assert [key.name for key in read_keys(path)] == ["bob"]
    with pytest.raises(SettingsError, match=r"no key named 'ann' in .*; its keys: bob"):
        remove_key(path, "ann")
    with pytest.raises(SettingsError, match=r"already a key named 'bob' in "):
        add_key(path, Key("bob", Role.READ, HASH))
    assert {one.name for one in path.parent.iterdir()} == {"api-keys", "api-keys.lock"}


def test_a_command_that_waits_too_long_for_another_one_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_file, "_LOCK_SECONDS", 0.1)
    path = tmp_path / "api-keys"
    told = pytest.raises(SettingsError, match="cannot be changed: another process has held its lock")
    with durable_file.lock_of(path), told:
        add_key(path, Key("ann", Role.READ, HASH))
    assert not path.exists()

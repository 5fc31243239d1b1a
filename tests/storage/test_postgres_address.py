"""What DATABASE_URL may say, and what is said of it."""

from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

from afterwrite.base.settings import Settings, SettingsError, from_environment
from afterwrite.storage.postgres.address import address_of, direct_address_of


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_an_address_is_read_whichever_way_its_scheme_is_spelt(scheme: str) -> None:
    address = address_of(Settings(database_url=f"{scheme}://ann:s%40cret@db.test:6000/shop?sslmode=require"))
    assert address.conninfo == "postgresql://ann:s%40cret@db.test:6000/shop?sslmode=require"
    assert str(address) == "postgresql://ann:***@db.test:6000/shop"


@pytest.mark.parametrize("password", ["two words", "a+b", "p@s's/w:rd %?#", "grün", '"$x"'])
def test_a_password_of_any_characters_comes_to_libpq_as_it_is(password: str) -> None:
    address = address_of(Settings(database_url=f"postgresql://ann:{quote(password, safe='')}@db.test/shop"))
    assert conninfo_to_dict(address.conninfo)["password"] == password


def test_what_the_address_says_itself_is_left_alone() -> None:
    address = address_of(Settings(database_url="postgresql://db.test/shop?connect_timeout=1"))
    assert "connect_timeout" not in address.options()
    assert "keepalives_idle" in address.options()


def test_the_direct_address_is_the_other_one_where_none_is_given() -> None:
    both = Settings(database_url="postgresql://pool.test/shop", database_direct_url="postgresql://db.test/shop")
    assert direct_address_of(both).url.host == "db.test"
    assert direct_address_of(Settings(database_url="postgresql://pool.test/shop")).url.host == "pool.test"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://ann:secret@db.test/shop", "begins with 'mysql'"),
        ("ann:secret@db.test", "is not a URL"),
        ("postgresql://ann:secret@db.test", "names no database"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        address_of(Settings(database_url=url))
    assert "DATABASE_URL" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_settings_do_not_show_the_password() -> None:
    assert "secret" not in repr(Settings(database_url="postgresql://ann:secret@db.test/shop"))


def test_workers_of_their_own_need_a_database_of_their_own() -> None:
    with pytest.raises(SettingsError, match="RUN_WORKERS=off leaves tasks to other processes"):
        from_environment({"RUN_WORKERS": "off"})

"""What RabbitMQ says when it refuses or ends a connection is what the service says."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from broker_house import OwnRabbitMQ, OwnRedis
from server_process import free_port
from stripe_fake import silent_url
from yarl import URL

from afterwrite.base.settings import Settings
from afterwrite.jobs.broker import REQUESTS, Broker, Delivery
from afterwrite.jobs.errors import ServiceAway


@pytest.fixture(scope="module")
def rabbitmq(own_servers: tuple[OwnRabbitMQ, OwnRedis]) -> OwnRabbitMQ:
    """A RabbitMQ for the tests here."""
    return own_servers[0]


@contextmanager
def somebody(rabbitmq: OwnRabbitMQ, *rights: str) -> Iterator[URL]:
    """The address as a new user, who may configure, write and read what the patterns say; nothing without them."""
    name = f"u{secrets.token_hex(4)}"
    rabbitmq.control("add_user", name, "pw")
    if rights:
        rabbitmq.control("set_permissions", "-p", "/", name, *rights)
    try:
        yield URL(rabbitmq.url).with_user(name).with_password("pw")
    finally:
        rabbitmq.control("delete_user", name)


def trouble(url: URL | str) -> str:
    """Why a broker cannot be used."""

    async def tried() -> str:
        broker = Broker(Settings(amqp_url=str(url), queue_prefix=f"t{secrets.token_hex(4)}."))
        with pytest.raises(ServiceAway) as away:
            await broker.check()
        await broker.close()
        assert broker.trouble == str(away.value)
        return str(away.value)

    return asyncio.run(tried())


ADVICE = ": correct AMQP_URL, or the rights of its user in RabbitMQ"


def test_an_unknown_virtual_host_is_told_in_the_words_of_the_broker(rabbitmq: OwnRabbitMQ) -> None:
    told = trouble(URL(rabbitmq.url).with_path("/nosuch"))
    assert told.endswith(f"127.0.0.1:{rabbitmq.port}/nosuch: NOT_ALLOWED - vhost nosuch not found{ADVICE}")


def test_a_wrong_password_is_told_in_the_words_of_the_broker_and_not_repeated(rabbitmq: OwnRabbitMQ) -> None:
    told = trouble(URL(rabbitmq.url).with_password("wrong-one"))
    assert "ACCESS_REFUSED - Login was refused" in told
    assert told.endswith(ADVICE)
    assert "wrong-one" not in told


def test_a_user_without_the_right_to_the_virtual_host_is_told_so(rabbitmq: OwnRabbitMQ) -> None:
    with somebody(rabbitmq) as url:
        assert f"NOT_ALLOWED - access to vhost '/' refused for user '{url.user}'{ADVICE}" in trouble(url)


def test_a_user_without_the_right_to_the_queues_is_told_so(rabbitmq: OwnRabbitMQ) -> None:
    with somebody(rabbitmq, "^$", "^$", "^$") as url:
        told = trouble(url)
    assert f"refused for user '{url.user}'" in told
    assert ": ACCESS_REFUSED - " in told
    assert told.endswith(ADVICE)


def test_a_connection_beyond_the_limit_of_the_user_is_told_so(rabbitmq: OwnRabbitMQ) -> None:
    with somebody(rabbitmq, ".*", ".*", ".*") as url:
        rabbitmq.control("set_user_limits", str(url.user), '{"max-connections": 0}')
        assert "connection limit" in trouble(url)


def test_a_connection_that_the_broker_closes_is_told_with_its_reason(
    rabbitmq: OwnRabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    async def closed() -> str:
        broker = Broker(Settings(amqp_url=rabbitmq.url, queue_prefix=f"t{secrets.token_hex(4)}."))

        async def nothing(_delivery: Delivery) -> None:
            """No message comes."""

        consuming = asyncio.create_task(broker.consume(REQUESTS, 1, nothing))
        await broker.check()
        # Any connection of this RabbitMQ is one of this broker's, of which one consumes.
        async with asyncio.timeout(60):
            while "stopped delivering" not in caplog.text:
                await asyncio.to_thread(rabbitmq.control, "close_all_connections", "for maintenance")
        consuming.cancel()
        await broker.close()
        return caplog.text

    told = asyncio.run(closed())
    assert "airflow.requests: CONNECTION_FORCED - for maintenance" in told


def test_what_does_not_answer_is_told_so_without_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterwrite.jobs.broker._TIMEOUT_SECONDS", 0.3)
    with silent_url() as silent:
        assert trouble(URL(silent).with_scheme("amqp").with_user("guest")).endswith(": no answer in time")
    assert "Connect call failed" in trouble(f"amqp://guest:guest@127.0.0.1:{free_port()}/")

"""Tests that requests share a commit of the journal, that each gets its own answer, and what a key stands for."""

import json

import pytest
from accept_together import Ticket, accept_together, count_commits, refusals
from databases import Database
from declared import PRODUCT
from in_process import Catalogue, MakeCatalogue, create, delete, update

from afterwrite.resources.number_fields import WHOLE_MAX
from afterwrite.resources.write import Operation, WriteRequest, request_write
from afterwrite.writes.queue import NotAcceptedError, Refusal


@pytest.fixture
def catalogue(make_catalogue: MakeCatalogue) -> Catalogue:
    """An empty catalogue whose writes wait in the journal."""
    return make_catalogue(held=True)


def test_all_that_arrive_during_a_commit_share_the_next_one(catalogue: Catalogue) -> None:
    commits = count_commits(catalogue.queue)
    others = [Ticket([create(f"{number}a"), create(f"{number}b")]) for number in range(15)]
    answers = accept_together(catalogue.queue, Ticket([create("first")]), others)
    assert commits == [1, 15]
    accepted = [write.id for answer in answers for write in answer.result()]
    waiting = catalogue.waiting()
    assert accepted == sorted(accepted) == [write.id for write in waiting]
    titles = [json.loads(write.arguments)["title"] for write in waiting]
    assert titles == ["first", *(f"{number}{letter}" for number in range(15) for letter in "ab")]


def test_one_key_twice_in_a_commit_is_one_write(catalogue: Catalogue) -> None:
    same = Ticket([create("lamp")], "key")
    answers = accept_together(
        catalogue.queue, Ticket([create("first")]), [same, same, Ticket([create("other")], "key")]
    )
    assert refusals(answers) == [None, None, None, Refusal.IDEMPOTENCY_KEY_REUSED]
    assert answers[1].result() == answers[2].result()
    assert len(catalogue.waiting()) == 2


@pytest.mark.parametrize(
    "other",
    [
        [create("lamp", 101)],
        [create("lamp"), create("lamp")],
        [update(1, title="lamp")],
        [WriteRequest("Product", Operation.CREATE, 1, create("lamp").arguments, retry_of=1)],
    ],
)
def test_a_key_stands_for_its_arguments(catalogue: Catalogue, other: list[WriteRequest]) -> None:
    first = catalogue.queue.accept([create("lamp")], "key")
    assert catalogue.queue.accept([create("lamp")], "key") == first
    with pytest.raises(NotAcceptedError, match=f"'key' was used for other arguments .write {first[0].id}"):
        catalogue.queue.accept(other, "key")
    assert catalogue.waiting() == first


def test_a_key_stands_for_what_was_sent_in_whatever_form_it_is_stored(catalogue: Catalogue) -> None:
    decomposed, composed = "Cafe\u0301", "Caf\u00e9"
    first = catalogue.queue.accept([create(decomposed)], "key")
    sent = {"title": decomposed, "price": 1.0}
    stored = {**json.loads(create(composed).arguments)}
    assert catalogue.queue.accept([request_write(PRODUCT, Operation.CREATE, None, stored, sent)], "key") == first
    with pytest.raises(NotAcceptedError):
        catalogue.queue.accept([create(composed)], "key")


@pytest.mark.parametrize("request_of_it", [create("lamp"), update(1, title="lamp")])
def test_a_write_that_a_newer_version_accepted_fails_and_names_what_is_unknown(
    make_catalogue: MakeCatalogue, request_of_it: WriteRequest
) -> None:
    catalogue = make_catalogue()
    catalogue.write(create("first"))
    newer = json.dumps({**json.loads(request_of_it.arguments), "brand": "Böck"})
    [write] = catalogue.write(request_of_it._replace(arguments=newer))
    assert (write.status, write.error_code) == ("FAILED", "UNREADABLE")
    assert "sets brand, which this version does not know" in str(write.error_message)
    assert catalogue.write(update(1, title="goes on"))[0].status == "APPLIED"


def test_a_replayed_key_tells_how_the_write_stands_now(catalogue: Catalogue) -> None:
    requests = [create("lamp"), delete(99)]
    queued = catalogue.queue.accept(requests, "key")
    assert [write.status for write in queued] == ["QUEUED", "QUEUED"]
    catalogue.settle()
    settled = catalogue.queue.accept(requests, "key")
    assert [(write.id, write.status) for write in settled] == [(queued[0].id, "APPLIED"), (queued[1].id, "FAILED")]


def test_an_update_of_any_id_gives_out_no_product_id(make_catalogue: MakeCatalogue) -> None:
    catalogue = make_catalogue()
    catalogue.write(create("first"), update(WHOLE_MAX, title="x"), delete(WHOLE_MAX - 1))
    catalogue.settle()
    catalogue.hold()
    catalogue.queue.accept([delete(WHOLE_MAX - 2)])
    catalogue.stop()
    assert make_catalogue(held=True).queue.accept([create("second")])[0].record_id == 2


def test_a_key_is_forgotten_after_its_time(make_catalogue: MakeCatalogue, database: Database) -> None:
    catalogue = make_catalogue()
    catalogue.settle()  # from now on the clock by which keys grow old is kept
    first = catalogue.queue.accept([create("lamp")], "key")
    catalogue.stop()
    database.age_keys(3_700)  # the limits keep 3,600 s
    again = make_catalogue()
    again.settle()
    assert again.queue.accept([create("lamp")], "key")[0].id > first[0].id

"""A signature holds for its secret, timestamp and body, to the byte, and for five minutes."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwrite.webhooks.signing import Verdict, read_timestamp, sign, verify

SECRET, NOW, BODY = "whsec_test", 1_700_000_000, b'{"event":"task.completed"}'

secrets = st.text(st.characters(codec="utf-8"), min_size=1, max_size=16)
moments = st.integers(0, 10**12 - 1)


def test_a_signature_is_the_hmac_sha256_of_timestamp_dot_body() -> None:
    expected = hmac.new(b"whsec_test", b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, NOW, BODY) == f"v1={expected}"


def test_openssl_signs_the_same() -> None:
    # printf 1.body | openssl dgst -sha256 -hmac secret
    expected = "v1=842b24d9575dee4b6ec460b7e3af7d683501d84fe6279102340787c79d2e2bab"
    assert sign("secret", 1, b"body") == expected


@given(secrets, moments, st.binary())
def test_what_was_signed_is_valid(secret: str, moment: int, body: bytes) -> None:
    assert verify(secret, str(moment), sign(secret, moment, body), body, moment) == Verdict.VALID


@given(secrets, moments, st.binary(min_size=1), st.data())
def test_a_body_with_any_byte_changed_is_refused(secret: str, moment: int, body: bytes, data: st.DataObject) -> None:
    signature, changed = sign(secret, moment, body), one_byte_changed(body, data)
    assert verify(secret, str(moment), signature, changed, moment) == Verdict.WRONG_SIGNATURE


@given(moments, st.data())
def test_a_timestamp_with_any_byte_changed_is_refused(moment: int, data: st.DataObject) -> None:
    changed = one_byte_changed(str(moment).encode(), data).decode("latin-1")
    verdict = verify(SECRET, changed, sign(SECRET, moment, BODY), BODY, moment)
    assert verdict in {Verdict.WRONG_SIGNATURE, Verdict.BAD_FORMAT}


@given(moments, st.data())
def test_a_signature_with_any_byte_changed_is_refused(moment: int, data: st.DataObject) -> None:
    changed = one_byte_changed(sign(SECRET, moment, BODY).encode(), data).decode("latin-1")
    verdict = verify(SECRET, str(moment), changed, BODY, moment)
    assert verdict in {Verdict.WRONG_SIGNATURE, Verdict.BAD_FORMAT}


@given(secrets, secrets, st.binary())
def test_another_secret_is_refused(secret: str, other: str, body: bytes) -> None:
    verdict = verify(other, str(NOW), sign(secret, NOW, body), body, NOW)
    # A key is filled up with zero bytes, so those at its end make no other one.
    same = secret.encode().rstrip(b"\0") == other.encode().rstrip(b"\0")
    assert (verdict == Verdict.VALID) is same


@pytest.mark.parametrize(
    ("seconds_later", "verdict"),
    [
        (0, Verdict.VALID),
        (300, Verdict.VALID),
        (300.5, Verdict.TOO_OLD),
        (-300, Verdict.VALID),
        (-301, Verdict.TOO_NEW),
    ],
)
def test_a_signature_holds_for_five_minutes(seconds_later: float, verdict: Verdict) -> None:
    assert verify(SECRET, str(NOW), sign(SECRET, NOW, BODY), BODY, NOW + seconds_later) == verdict


def test_the_tolerance_can_be_another() -> None:
    signature = sign(SECRET, NOW, BODY)
    assert verify(SECRET, str(NOW), signature, BODY, NOW + 11, tolerance_seconds=10) == Verdict.TOO_OLD
    assert verify(SECRET, str(NOW), signature, BODY, NOW + 11, tolerance_seconds=11) == Verdict.VALID


def test_a_forged_signature_is_called_wrong_whatever_its_age() -> None:
    assert verify(SECRET, str(NOW), "v1=" + "0" * 64, BODY, NOW + 10_000) == Verdict.WRONG_SIGNATURE


@pytest.mark.parametrize("between", [",", " ", ", ", " , ,"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_good_signature_among_several_is_enough(between: str, place: int) -> None:
    several = [sign("old", NOW, BODY), "v2=of-another-scheme"]
    several.insert(place, sign(SECRET, NOW, BODY))
    assert verify(SECRET, str(NOW), between.join(several), BODY, NOW) == Verdict.VALID


@pytest.mark.parametrize(("timestamp", "signature"), [(None, "v1=00"), (str(NOW), None), (None, None), ("", "")])
def test_a_missing_header_is_named(timestamp: str | None, signature: str | None) -> None:
    assert verify(SECRET, timestamp, signature, BODY, NOW) == Verdict.MISSING_HEADER


@pytest.mark.parametrize(
    "timestamp", [" 1700000000", "+1700000000", "01700000000", "1700000000.0", "1e9", "-1", "١٢٣", "1" * 13, "now"]
)
def test_a_timestamp_is_written_in_one_way_only(timestamp: str) -> None:
    assert read_timestamp(timestamp) is None
    assert verify(SECRET, timestamp, sign(SECRET, NOW, BODY), BODY, NOW) == Verdict.BAD_FORMAT


@pytest.mark.parametrize("signatures", ["v2=00", "00", ",,", "v1", "V1=00"])
def test_a_signature_of_no_known_scheme_is_of_a_bad_format(signatures: str) -> None:
    assert verify(SECRET, str(NOW), signatures, BODY, NOW) == Verdict.BAD_FORMAT


@given(st.text(), st.text())
def test_any_text_in_the_headers_is_refused_without_an_error(timestamp: str, signatures: str) -> None:
    assert verify(SECRET, timestamp, signatures, BODY, NOW) != Verdict.VALID
    assert verify(SECRET, str(NOW), f"v1={signatures}", BODY, NOW) != Verdict.VALID


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(ValueError, match="WEBHOOK_SECRET"):
        sign("", NOW, BODY)


def one_byte_changed(text: bytes, data: st.DataObject) -> bytes:
    """The text with one of its bytes replaced by another one."""
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.integers(1, 255))
    return text[:place] + bytes([text[place] ^ other]) + text[place + 1 :]

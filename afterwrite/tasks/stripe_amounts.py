"""Stripe's documented amount limits by currency, as the simulation applies them.

The limits are those of card payments at https://docs.stripe.com/currencies, as of July 2026: up to twelve digits in
every currency, nine with American Express, and a minimum for each currency in which an account may be paid out. (The
eight digits in the reference of PaymentIntent apply to other payment methods.) With a key, Stripe decides. The
simulation has no account, so it converts nothing: each currency has its own minimum or none.
"""

from afterwrite.tasks.worker import TaskFailed

AMOUNT_MAX = 999_999_999_999
_AMERICAN_EXPRESS_MAX = 999_999_999
_MINIMUM_OF_FIFTY = "ars aud brl cad chf cop eur idr ils inr jpy krw nzd php rub sgd usd zar"
_MINIMUMS = {
    **dict.fromkeys(_MINIMUM_OF_FIFTY.split(), 50),
    **{"aed": 200, "czk": 1_500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17_500, "mxn": 1_000, "myr": 200},
    **{"nok": 300, "pln": 200, "ron": 200, "sek": 300, "thb": 1_000},
}
# Card networks do not support a third decimal, so it must be 0.
_THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
# Zero-decimal currencies that Stripe still writes with two decimals.
_WHOLE_UNITS = frozenset({"isk", "ugx"})
_CURRENCIES = """
aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn bwp byn bzd cad cdf chf clp
cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel ghs gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr
isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr
mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd
std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
"""
_SUPPORTED = frozenset(_CURRENCIES.split())


def check_amount(amount: int, currency: str, payment_method: str) -> None:
    """Raise TaskFailed for an amount (in minor units) or a currency that Stripe would refuse."""
    currency = currency.lower()
    if currency not in _SUPPORTED:
        said = f"Invalid currency: {currency}. https://docs.stripe.com/currencies has those that Stripe supports"
        raise refused_by_stripe(said, "currency", None)
    least = _MINIMUMS.get(currency, 1)
    most = _AMERICAN_EXPRESS_MAX if payment_method.startswith("pm_card_amex") else AMOUNT_MAX
    if amount < least:
        said = f"Amount must be at least {least:,} in the minor unit of {currency}"
        raise refused_by_stripe(said, "amount", "amount_too_small")
    if amount > most:
        said = f"Amount must be no more than {most:,} in the minor unit of {currency}"
        raise refused_by_stripe(said, "amount", "amount_too_large")
    if currency in _THREE_DECIMALS and amount % 10:
        said = f"Invalid amount. The last digit of an amount in {currency} must be 0: round it to the nearest ten"
        raise refused_by_stripe(said, "amount", "invalid_charge_amount")
    if currency in _WHOLE_UNITS and amount % 100:
        said = f"Invalid amount. An amount in {currency} must be evenly divisible by 100"
        raise refused_by_stripe(said, "amount", "invalid_charge_amount_no_decimal_compatible")


def refused_by_stripe(said: str, parameter: str | None, code: str | None) -> TaskFailed:
    """The final failure of a request that Stripe refuses, in Stripe's words with its parameter and code."""
    about = f"parameter: {parameter or 'none named'}, code: {code or 'none'}"
    return TaskFailed("STRIPE_REFUSED", f"Stripe refused the request: {said} ({about})", final=True)

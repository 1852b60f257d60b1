"""Money: a decimal amount with an ISO 4217 currency, kept as an integer number of minor units.

Source of the exponents: ISO 4217:2015 list one. Codes for metals, funds and testing are left out.
"""

from __future__ import annotations

from decimal import Decimal, DecimalException

_EXPONENTS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_UNIT_EXPONENT: dict[str, int] = {code: digits for digits, codes in _EXPONENTS.items() for code in codes.split()}

MAX_MINOR = 10**15
"""Largest amount of one event in minor units (ten trillion in cents): keeps sums well inside 64 bits."""


class MoneyError(ValueError):
    """The amount or the currency can't be used; the message says why and what to write."""


def to_minor(amount: str | int | float | Decimal, currency: str) -> int:
    """Exact minor units of a non-negative `amount` (major units). Raises MoneyError, never rounds.

    A JSON number is taken by its shortest decimal text, which is what its sender wrote.
    """
    exponent = MINOR_UNIT_EXPONENT.get(currency)
    if exponent is None:
        raise MoneyError(f"{currency!r} is no ISO 4217 currency code; write three capital letters, such as BRL")
    try:
        scaled = Decimal(str(amount)).scaleb(exponent)
    except DecimalException:
        raise MoneyError(f'{amount!r} is no decimal amount; write it like "129.90"') from None
    if not scaled.is_finite() or scaled < 0 or scaled > MAX_MINOR:
        raise MoneyError(f"{amount} is out of range; amounts are from 0 to {MAX_MINOR} minor units")
    minor = int(scaled)
    if minor != scaled:
        raise MoneyError(f"{amount} has more decimal places than {currency} has ({exponent})")
    return minor


def to_major(minor: int, currency: str) -> Decimal:
    """The decimal amount in major units, with the currency's own number of decimal places."""
    return Decimal(minor).scaleb(-MINOR_UNIT_EXPONENT.get(currency, 2))

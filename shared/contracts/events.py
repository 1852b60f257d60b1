"""The event contract: the twelve built-in types and their payloads, as a shop's backend posts them.

A payload refuses fields that it does not know, so that a typing error is answered instead of lost; whatever else a
sender wants to keep goes under `properties`. Custom types are free objects.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.contracts.money import MoneyError, to_minor


class EventType(StrEnum):
    """The built-in event types. Any other name of the same form is a custom type."""

    SIGNUP = "signup"
    PURCHASE = "purchase"
    PURCHASE_REFUNDED = "purchase_refunded"
    COMPLAINT = "complaint"
    COMPLAINT_RESOLVED = "complaint_resolved"
    SURVEY_RESPONSE = "survey_response"
    ENGAGEMENT = "engagement"
    CART_UPDATED = "cart_updated"
    REFERRAL = "referral"
    SUBSCRIPTION_CANCELLED = "subscription_cancelled"
    PROFILE_UPDATED = "profile_updated"
    CONSENT_CHANGED = "consent_changed"


Text = Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00]*$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f<>\",;]+@[^@\s\x00-\x1f<>\",;]+$")]
Locale = Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Zone = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_+\-/]+$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Amount = Annotated[Decimal, Field(strict=False, ge=0)]
Score = Annotated[int, Field(ge=0, le=10)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Payload(BaseModel):
    """Base of the built-in payloads: strict, closed, with room for the sender's own `properties`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    properties: dict[str, Any] | None = None


class Profile(Payload):
    """What is known of a person; null removes a field, an absent one leaves it as it is."""

    name: Text | None = None
    email: Email | None = None
    phone: Phone | None = None
    locale: Locale | None = None
    time_zone: Zone | None = None


class Signup(Profile):
    """The customer created an account. `consent` maps a channel to whether marketing may use it."""

    source: Text | None = None
    consent: dict[Literal["email", "sms", "push", "webhook"], bool] | None = None


class ProfileUpdated(Profile):
    """Profile fields changed."""


class Item(Payload):
    """One line of an order or cart; `price` is per unit, in the order's currency."""

    sku: Key
    quantity: Count = 1
    price: Amount | None = None
    name: Text | None = None


class Priced(Payload):
    """An amount in major units with its currency; both or neither where a subclass makes them optional."""

    amount: Amount
    currency: Currency

    @model_validator(mode="after")
    def _amount_fits_currency(self) -> Self:
        try:
            to_minor(self.amount, self.currency)
        except MoneyError as error:
            raise ValueError(str(error)) from None
        return self


class Purchase(Priced):
    """One order was paid. `margin` is what it earns after cost of goods, in the same currency."""

    order_id: Key
    items: Annotated[list[Item], Field(max_length=500)] | None = None
    channel: Text | None = None
    coupon: Text | None = None
    margin: Annotated[Decimal, Field(strict=False)] | None = None


class PurchaseRefunded(Priced):
    """Money of an order was given back, wholly or in part."""

    order_id: Key
    reason: Text | None = None


class Complaint(Payload):
    """A complaint was opened; `complaint_id` is what its resolution names."""

    complaint_id: Key
    severity: Literal["low", "medium", "high"] | None = None
    category: Text | None = None
    channel: Text | None = None
    order_id: Key | None = None
    text: Annotated[str, StringConstraints(max_length=20_000)] | None = None


class ComplaintResolved(Payload):
    """A complaint was settled; it may arrive before the complaint itself."""

    complaint_id: Key
    resolution: Text | None = None
    satisfied: bool | None = None


class SurveyResponse(Payload):
    """An answer to a survey: nps 0 to 10, csat 1 to 5, ces 1 to 7."""

    kind: Literal["nps", "csat", "ces"]
    score: Score
    comment: Annotated[str, StringConstraints(max_length=20_000)] | None = None
    survey_id: Key | None = None

    @model_validator(mode="after")
    def _score_fits_kind(self) -> Self:
        low, high = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}[self.kind]
        if not low <= self.score <= high:
            raise ValueError(f"a score of kind {self.kind} is from {low} to {high}, not {self.score}")
        return self


class Engagement(Payload):
    """The customer gave attention: a visit, an ad click, an opened e-mail, a talk with support."""

    channel: Literal["visit", "social", "ad", "email_open", "email_click", "content", "support", "other"]
    campaign: Text | None = None
    url: Annotated[str, StringConstraints(max_length=2_000)] | None = None
    cost: Amount | None = None
    currency: Currency | None = None


class CartUpdated(Payload):
    """The cart as it now stands; an empty list of items is an emptied cart."""

    cart_id: Key
    items: Annotated[list[Item], Field(max_length=500)]
    amount: Amount | None = None
    currency: Currency | None = None


class Referral(Payload):
    """This customer brought somebody."""

    referred_customer_id: Key | None = None
    code: Text | None = None
    channel: Text | None = None


class SubscriptionCancelled(Payload):
    """A paid subscription or membership was ended."""

    subscription_id: Key | None = None
    plan: Text | None = None
    reason: Text | None = None


class ConsentChanged(Payload):
    """Consent to marketing on one channel was given or withdrawn."""

    channel: Literal["email", "sms", "push", "webhook"]
    granted: bool
    source: Text | None = None


PAYLOADS: dict[str, type[Payload]] = {
    EventType.SIGNUP: Signup,
    EventType.PURCHASE: Purchase,
    EventType.PURCHASE_REFUNDED: PurchaseRefunded,
    EventType.COMPLAINT: Complaint,
    EventType.COMPLAINT_RESOLVED: ComplaintResolved,
    EventType.SURVEY_RESPONSE: SurveyResponse,
    EventType.ENGAGEMENT: Engagement,
    EventType.CART_UPDATED: CartUpdated,
    EventType.REFERRAL: Referral,
    EventType.SUBSCRIPTION_CANCELLED: SubscriptionCancelled,
    EventType.PROFILE_UPDATED: ProfileUpdated,
    EventType.CONSENT_CHANGED: ConsentChanged,
}
"""The payload model of each built-in type."""

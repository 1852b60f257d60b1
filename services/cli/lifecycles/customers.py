"""Whose customers a command looks at, and what is said when there are none."""

from __future__ import annotations

from services.stage_engine.store.customers import CustomerKey
from shared.errors import Permanent


def check_tenant(tenant: str | None, customers: int) -> None:
    """Raises Permanent for a tenant that has no customers to look at."""
    if tenant is not None and not customers:
        raise Permanent(f"no event of a customer of the tenant {tenant!r} was ever applied; leave --tenant out")


def never_heard_of(customer: CustomerKey) -> Permanent:
    """The error for a customer who is not there."""
    told = f"no event of a customer {customer.customer_id!r} was ever applied for the tenant {customer.tenant!r}"
    return Permanent(f"{told}; --tenant says whose customers to look among")

"""Audiences in CEL, over a few typed variables; what can't be answered is a no."""

from __future__ import annotations

from typing import Any, Final

from cel_expr_python import cel

from services.notifier.domain.change import Change, Contact

_TYPES: Final = {
    "customer.locale": cel.Type.STRING,
    "customer.time_zone": cel.Type.STRING,
    "customer.open_complaints": cel.Type.INT,
    "customer.consents_to_email": cel.Type.BOOL,
    "change.from": cel.Type.STRING,
    "change.to": cel.Type.STRING,
    "change.transition": cel.Type.STRING,
    "change.direction": cel.Type.STRING,
    "change.entry": cel.Type.INT,
}
VARIABLES: Final = tuple(_TYPES)
_WORDS: Final = {"STRING": "a text", "INT": "a whole number", "DOUBLE": "a decimal"}


class CelAudience:
    """An audience as an expression, for example `customer.locale == "pt-BR" && change.entry == 1`."""

    def __init__(self, source: str) -> None:
        """Raises ValueError with the place in the expression, or for one that is neither true nor false."""
        environment = cel.NewEnv(variables=dict(_TYPES))
        try:
            self._compiled = environment.compile(source)
        except RuntimeError as error:
            raise ValueError(f"the audience can't be read: {error}. Known are {', '.join(VARIABLES)}") from None
        returned = self._compiled.return_type()
        if returned != cel.Type.BOOL:
            kind = _WORDS.get(str(returned), "a value")
            raise ValueError(
                f"the audience gives {kind}, not true or false; compare it with something, such as change.entry == 1"
            )

    def includes(self, change: Change, contact: Contact) -> bool:
        """Whether it holds; a value that is unknown makes it a no."""
        try:
            value = self._compiled.eval(data=_values(change, contact))
        except RuntimeError:
            return False
        return value.type() == cel.Type.BOOL and value.value() is True


def _values(change: Change, contact: Contact) -> dict[str, Any]:
    given = {
        "customer.locale": contact.locale,
        "customer.time_zone": contact.time_zone,
        "customer.open_complaints": contact.open_complaints,
        "customer.consents_to_email": contact.consent.get("email"),
        "change.from": change.from_stage,
        "change.to": change.to_stage,
        "change.transition": change.transition,
        "change.direction": change.direction,
        "change.entry": change.entry,
    }
    return {name: value for name, value in given.items() if value is not None}

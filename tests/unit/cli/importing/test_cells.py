"""What a cell becomes: times in zones, money, numbers, yes and no; and what is wrong with it otherwise."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
import pytest

from services.cli.importing.applying import Draft
from services.cli.importing.mapping import parse_mapping
from services.cli.importing.moments import Moment, Odd, reader
from services.cli.importing.problems import Problem, Unfit
from services.cli.importing.reading import Row
from services.cli.importing.values import Type, converter
from shared.contracts.times import parse_text

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
BERLIN = ZoneInfo("Europe/Berlin")


def moment(text: str, odd: Odd | None = None) -> Moment:
    return Moment(parse_text(text), odd)


# --- times


@pytest.mark.parametrize(
    ("form", "cell", "expected"),
    [
        ("rfc3339", "2026-01-05T10:15:00-03:00", moment("2026-01-05T13:15:00Z")),
        ("rfc3339", "2026-01-05 10:15:00", moment("2026-01-05T13:15:00Z")),
        ("rfc3339", "2026-01-05", moment("2026-01-05T03:00:00Z")),
        ("%d/%m/%Y %H:%M", "05/01/2026 10:15", moment("2026-01-05T13:15:00Z")),
        ("%d/%m/%Y %H:%M %z", "05/01/2026 10:15 +0000", moment("2026-01-05T10:15:00Z")),
        ("epoch_seconds", "1767608100", moment("2026-01-05T10:15:00Z")),
        ("epoch_seconds", "1767608100.25", moment("2026-01-05T10:15:00.250Z")),
        ("epoch_milliseconds", "1767608100250", moment("2026-01-05T10:15:00.250Z")),
    ],
)
def test_times_of_every_format(form: str, cell: str, expected: Moment) -> None:
    assert reader(form, SAO_PAULO)(cell) == expected


def test_a_time_that_came_twice_is_the_first_and_says_so() -> None:
    assert reader("rfc3339", BERLIN)("2025-10-26T02:30") == moment("2025-10-26T00:30:00Z", Odd.TWICE)
    assert reader("rfc3339", BERLIN)("2025-10-26T03:00") == moment("2025-10-26T02:00:00Z")


def test_a_time_that_never_was_counts_as_if_clocks_had_not_been_put_forward_yet() -> None:
    assert reader("rfc3339", BERLIN)("2025-03-30T02:30") == moment("2025-03-30T01:30:00Z", Odd.NEVER)
    # A day of São Paulo that began at one o'clock: a date alone is its midnight, which never was.
    assert reader("%d/%m/%Y", SAO_PAULO)("04/11/2018") == moment("2018-11-04T03:00:00Z", Odd.NEVER)


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("rfc3339", "05/01/2026"),
        ("%d/%m/%Y", "2026-01-05"),
        ("%d/%m/%Y", "31/02/2026"),
        ("%d/%m/%Y", "01/01/0001"),
        ("epoch_seconds", "yesterday"),
        ("epoch_seconds", "NaN"),
        ("epoch_seconds", "1e30"),
        ("epoch_milliseconds", "99999999999999999"),
    ],
)
def test_what_is_no_time_is_told(form: str, cell: str) -> None:
    zone = ZoneInfo("Asia/Tokyo")  # ahead of UTC, so that the first day of all lies before time
    with pytest.raises(Unfit, match="is no"):
        reader(form, zone)(cell)


def test_a_time_without_offset_and_zone_is_refused() -> None:
    with pytest.raises(Unfit, match="no offset"):
        reader("rfc3339", None)("2026-01-05T10:15:00")


# --- numbers


@pytest.mark.parametrize(
    ("cell", "plain"),
    [
        ("1.234,56", "1234.56"),
        ("R$ 1.234,56", "1234.56"),
        ("R$\u00a0129,90", "129.90"),
        ("-1.234.567,8", "-1234567.8"),
        ("1.234", "1234"),
        ("12", "12"),
        ("0,05", "0.05"),
    ],
)
def test_money_with_a_decimal_comma(cell: str, plain: str) -> None:
    assert converter(Type.DECIMAL, decimal_comma=True)(cell) == plain


@pytest.mark.parametrize(
    ("cell", "plain"), [("1,234.56", "1234.56"), ("US$ 10.00", "10.00"), ("EUR 7.5", "7.5"), ("-3", "-3")]
)
def test_money_with_a_decimal_point(cell: str, plain: str) -> None:
    assert converter(Type.DECIMAL, decimal_comma=False)(cell) == plain


@pytest.mark.parametrize("cell", ["12.50", "1,234.56", "1.23", "12.345.6"])
def test_a_decimal_point_is_never_read_as_thousands(cell: str) -> None:
    with pytest.raises(Unfit):
        converter(Type.DECIMAL, decimal_comma=True)(cell)


@pytest.mark.parametrize("cell", ["12,50", "1.234,56", "1,234"])
def test_a_decimal_comma_is_never_read_as_thousands(cell: str) -> None:
    with pytest.raises(Unfit) as caught:
        converter(Type.DECIMAL, decimal_comma=False)(cell)
    assert "decimal_comma: true" in caught.value.advice


@pytest.mark.parametrize("cell", ["", "abc", "1e3", "١٢", "NaN", "--1", "9" * 41])
def test_what_is_no_number_is_told(cell: str) -> None:
    for comma in (True, False):
        with pytest.raises(Unfit):
            converter(Type.DECIMAL, decimal_comma=comma)(cell)


def test_numbers_are_json_numbers_and_decimals_texts() -> None:
    assert msgspec.json.encode(converter(Type.NUMBER, decimal_comma=True)("-007,50")) == b"-7.50"
    assert converter(Type.INTEGER, decimal_comma=False)("007") == 7
    with pytest.raises(Unfit):
        converter(Type.INTEGER, decimal_comma=False)("7.0")


def test_yes_and_no_in_three_languages() -> None:
    read = converter(Type.BOOLEAN, decimal_comma=False)
    assert [read(cell) for cell in ("Sim", "TRUE", "1", "sí", "Não", "no", "0")] == [True] * 4 + [False] * 3
    with pytest.raises(Unfit):
        read("talvez")


# --- a row by a rule

MAPPING = """\
time_zone: America/Sao_Paulo
events:
  - type: visit
    where: {Tipo: visita}
    customer_id: {template: "{Loja}-{Cliente}"}
    time: {template: "{Dia} {Hora}", format: "%d/%m/%Y %H:%M"}
    data:
      properties.campaign: Campanha
      level: {column: Nível, values: {Alta: high, Baixa: low}}
      place: {template: "{Rua} {Cidade}"}
      source: {value: import}
"""
ROW = {"Tipo": "visita", "Loja": "sp", "Cliente": "7", "Dia": "05/01/2026", "Hora": "10:15", "Nível": "Alta"}


def applied(cells: dict[str, str], line: int = 2) -> Draft | list[Problem]:
    return parse_mapping("m.yaml", MAPPING).rules[0].apply(Row(line, cells), 0)


def event(cells: dict[str, str], line: int = 2) -> dict[str, object]:
    draft = applied(cells, line)
    assert isinstance(draft, Draft), draft
    decoded: dict[str, object] = msgspec.json.decode(draft.body)
    return decoded


def test_templates_constants_and_values_make_an_event_and_empty_cells_are_left_out() -> None:
    made = event(ROW | {"Cidade": "Santos"})
    assert str(made.pop("id")).startswith("imported-")
    assert made == {
        "type": "visit",
        "customer_id": "sp-7",
        "time": "2026-01-05T13:15:00.000Z",
        "mode": "backfill",
        "data": {"level": "high", "place": "Santos", "source": "import"},
    }


def test_an_id_that_is_left_out_is_that_of_the_content_alone() -> None:
    assert event(ROW, line=2)["id"] == event(dict(reversed(ROW.items())) | {"unread": "x"}, line=9)["id"]
    for column, other in (("Cliente", "8"), ("Hora", "10:16"), ("Nível", "Baixa"), ("Campanha", "x")):
        assert event(ROW | {column: other})["id"] != event(ROW)["id"], column
    assert event(ROW)["id"] == "imported-a1877d3877f6810702b759a6ecc29295"


def test_all_that_is_wrong_with_a_row_is_told_by_column() -> None:
    found = applied(ROW | {"Loja": "", "Hora": "25:00", "Nível": "Média"})
    assert isinstance(found, list)
    assert [(each.line, each.column, each.pointer) for each in found] == [
        (2, "Loja", "/customer_id"),
        (2, "Dia, Hora", "/time"),
        (2, "Nível", "/data/level"),
    ]
    assert "where: {Loja: {filled: true}}" in found[0].advice

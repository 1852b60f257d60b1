"""A mapping that is wrong is told with file, line and column, before a row is looked at."""

from __future__ import annotations

import pytest

from services.cli.importing.mapping import parse_mapping
from services.stage_engine.definitions.yaml_source import DefinitionError

GOOD = """\
time_zone: America/Sao_Paulo
events:
  - type: purchase
    where: {Status: [Pago, Enviado], Total: {not: "0,00"}}
    id: "order-{Pedido}-paid"
    customer_id: E-mail
    time: {column: Data, format: "%d/%m/%Y"}
    data:
      order_id: Pedido
      amount: {column: Total, type: decimal, decimal_comma: true}
      currency: {value: BRL}
"""


def told(text: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        parse_mapping("m.yaml", text)
    return str(caught.value).split("\n")


def changed(old: str, new: str) -> list[str]:
    assert old in GOOD
    return told(GOOD.replace(old, new))


def test_a_mapping_without_a_mistake_is_taken() -> None:
    assert [rule.type for rule in parse_mapping("m.yaml", GOOD).rules] == ["purchase"]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("time_zone: America/Sao_Paulo", "time_zone: Mars/Base", "1:12", "'Mars/Base' is no IANA time zone"),
        ("time_zone: America/Sao_Paulo", "time_zoen: UTC", "1:12", 'did you mean "time_zone"?'),
        ("time_zone: America/Sao_Paulo", "encoding: ebcdic", "1:11", "'ebcdic' is no encoding of text"),
        ("customer_id: E-mail", "customer_id: {colum: E-mail}", "6:26", 'did you mean "column"?'),
        ("customer_id: E-mail", "customer_id: {}", "6:18", "give one of column, template; none is given"),
        ("customer_id: E-mail", "customer_id:", "6:5", "there is a key without a value"),
        ("    customer_id: E-mail\n", "", "3:5", "`customer_id` is missing"),
        ('"order-{Pedido}-paid"', "paid", "5:9", "all events would get the same id"),
        ('"order-{Pedido}-paid"', '"order-{Pedido"', "5:9", "a template names columns in braces"),
        ("%d/%m/%Y", "dd/mm/yyyy", "7:34", "'dd/mm/yyyy' is no format"),
        ("amount: {", "ammount: {", "10:16", 'did you mean "amount"?'),
        ("      order_id: Pedido\n", "", "9:7", "a purchase needs `order_id`"),
        ("{value: BRL}", "{value: BRL, type: text}", "11:17", "nothing else goes with it"),
        ("type: decimal, ", "", "10:15", "`decimal_comma` goes with `type: decimal`"),
        ("type: decimal, ", "type: money, ", "10:37", "'text', 'integer', 'decimal', 'number' or 'boolean'"),
        ("type: decimal, decimal_comma: true", "values: {}", "10:39", "give at least one"),
        ('{not: "0,00"}', "{filed: true}", "4:53", 'did you mean "filled"?'),
        ('{not: "0,00"}', "[]", "4:45", "give at least one"),
        ('{not: "0,00"}', "{filled: true, not: x}", "4:45", "give one of filled, not"),
        ("type: purchase", "type: Purchase", "3:11", "pattern"),
        ("type: purchase", "type: jornada.x", "3:11", "Jornada's own"),
        (
            "      currency: {value: BRL}",
            "      currency: {value: BRL}\n      currency.x: A",
            "12:19",
            "would be inside it",
        ),
    ],
)
def test_each_mistake_has_its_place_and_says_what_to_write(old: str, new: str, place: str, words: str) -> None:
    found = changed(old, new)
    assert any(line.startswith(f"m.yaml:{place}") and words in line for line in found), found


def test_a_format_without_offset_needs_a_zone() -> None:
    (problem,) = changed("time_zone: America/Sao_Paulo\n", "")
    assert problem.startswith("m.yaml:6:34: ")
    assert "time_zone" in problem


@pytest.mark.parametrize("text", ["", "- type: purchase", "just words"])
def test_what_is_no_mapping_at_all_is_told_how_one_begins(text: str) -> None:
    assert told(text) == ["m.yaml:1:1: the file must be a mapping that starts like `events:`"]


def test_all_that_is_missing_is_told_at_once() -> None:
    found = told("events:\n  - type: gift\n")
    assert [line.rpartition(": ")[2] for line in found] == ["`customer_id` is missing", "`time` is missing"]


def test_a_column_that_the_file_does_not_have_is_told_where_the_mapping_names_it() -> None:
    mapping = parse_mapping("m.yaml", GOOD)
    with pytest.raises(DefinitionError) as caught:
        mapping.check_columns(["Status", "Totl", "Pedido", "E-mail", "Data"])
    assert str(caught.value).split("\n") == [
        'm.yaml:4:45: the file has no column `Total`; did you mean "Totl"?',
        'm.yaml:10:24: the file has no column `Total`; did you mean "Totl"?',
    ]

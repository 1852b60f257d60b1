"""`jornada import FILE --dry-run`: what a file holds and what is wrong with it, by line; nothing leaves this machine."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app

Run = Callable[..., Any]
GUIDE = Path(__file__).parents[4] / "docs" / "importing.md"
MAPPING = """\
time_zone: UTC
events:
  - type: purchase
    id: "order-{order}"
    customer_id: who
    time: when
    data: {order_id: order, amount: {column: total, type: decimal}, currency: {value: BRL}}
"""
HEADER = "order,who,when,total\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `jornada import … --dry-run` in a fresh folder with a mapping in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JORNADA_KEY", raising=False)
    Path("map.yaml").write_text(MAPPING)
    runner = CliRunner()

    def dry_run(file: str, *words: str, mapping: str | None = "map.yaml") -> Any:
        named = ["--map", mapping] if mapping else []
        return runner.invoke(app, ["import", file, *named, "--dry-run", *words], catch_exceptions=False)

    return dry_run


def told(result: Any, exit_code: int = 0) -> dict[str, Any]:
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def rows(*rows: str, name: str = "orders.csv") -> str:
    Path(name).write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return name


def block(language: str, number: int = 0) -> str:
    """A fenced block of the guide."""
    fenced = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return list(fenced.finditer(GUIDE.read_text(encoding="utf-8")))[number][1]


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_the_example_of_the_guide_says_what_the_guide_says(run: Run) -> None:
    Path("pedidos.csv").write_text(block("csv"), encoding="utf-8")
    Path("pedidos.yaml").write_text(block("yaml"), encoding="utf-8")
    result = run("pedidos.csv", mapping="pedidos.yaml")
    assert result.exit_code == 0
    assert lines(result.stdout) == lines(block("text"))
    Path("pedidos.csv").write_text(block("csv").replace("22:40", "32:40"), encoding="utf-8")
    result = run("pedidos.csv", mapping="pedidos.yaml")
    assert result.exit_code == 1
    assert lines(block("text", 1))[0] in lines(result.stdout)


def test_a_spreadsheets_own_encoding_and_delimiter_are_read(run: Run) -> None:
    Path("pedidos.yaml").write_text(block("yaml"), encoding="utf-8")
    Path("pedidos.csv").write_bytes(block("csv").replace("\n", "\r\n").encode("cp1252"))
    refused = run("pedidos.csv", mapping="pedidos.yaml")
    assert refused.exit_code == 1
    assert "--encoding names another, such as cp1252" in refused.output
    assert told(run("pedidos.csv", "--encoding", "cp1252", "--format", "json", mapping="pedidos.yaml"))["events"] == 4
    Path("pedidos.csv").write_bytes(block("csv").replace(";", "\t").encode("utf-8-sig"))
    assert told(run("pedidos.csv", "--format", "json", mapping="pedidos.yaml"))["events"] == 4
    wrong = run("pedidos.csv", "--delimiter", ";", mapping="pedidos.yaml")
    assert "pedidos.yaml:4:34: the file has no column `Status do Pagamento`" in wrong.output


def test_every_bad_line_is_told_with_its_number_and_column(run: Run) -> None:
    """A blank line and a cell of several lines do not shift the numbers."""
    good, bad = "1,ana,2026-01-05,10.00", "2,bia,2026-01-05,10.001"
    file = rows(good, "", '3,"ana\nb",2026-01-05,10.00', bad, "4,,2026-01-05,1,2", "5,,2026-01-06,1.00", good)
    found = told(run(file, "--format", "json"), 1)
    where = [(each["line"], each.get("column"), each.get("pointer")) for each in found["errors"]]
    assert where == [
        (4, "who", "/customer_id"),
        (6, "total", "/data/amount"),
        (7, None, None),
        (8, "who", "/customer_id"),
    ]
    assert (found["rows"], found["events"], found["bad_lines"], found["repeated"]) == (6, 1, 4, 1)


def test_people_are_shown_the_first_bad_lines(run: Run) -> None:
    result = run(rows(*(f"{number},ana,never,1.00" for number in range(30))), "--errors", "3")
    assert result.exit_code == 1
    assert len(re.findall("^error orders.csv:", result.stdout, re.MULTILINE)) == 3
    assert "and 27 more" in result.stdout
    assert "30 bad lines to mend" in result.stdout


def test_an_id_that_comes_again_with_other_content_is_an_error_of_the_later_line(run: Run) -> None:
    file = rows("1,ana,2026-01-09,10.00", "1,bia,2026-01-01,10.00", "1,ana,2026-01-05,99.00", "1,ana,2026-01-09,10.00")
    found = told(run(file, "--format", "json"), 1)
    assert [(each["line"], each["detail"]) for each in found["errors"]] == [
        (4, "line 2 has `order-1` already, with other content")
    ]
    assert (found["events"], found["customers"], found["repeated"]) == (2, 2, 1)


def test_what_ingest_would_refuse_is_refused_here_with_the_same_advice(run: Run) -> None:
    found = told(run(rows("1,ana,2999-01-01,10.00", "2,ana,1969-01-01,1.00"), "--format", "json"), 1)
    assert [(each["pointer"], each["detail"]) for each in found["errors"]] == [
        ("/time", "it is more than 5 minutes in the future"),
        ("/time", "it is before 1970"),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the first line must name the columns"),
        ("order,who,who,total\n", "several columns have the name 'who'"),
        (HEADER + '1,"ana,2026\n' + "x" * 200_000, "no CSV"),
    ],
)
def test_a_file_that_is_no_table_is_one_clear_message(run: Run, content: str, words: str) -> None:
    Path("orders.csv").write_text(content)
    result = run("orders.csv")
    assert result.exit_code == 1
    assert words in result.output


def test_files_that_can_not_be_read_are_told(run: Run) -> None:
    assert "No such file" in run("none.csv").output
    assert "an import is a file that ends in .csv" in run("orders.xlsx").output
    Path("cut.csv.gz").write_bytes(gzip.compress(HEADER.encode() * 1000)[:-20])
    assert "no whole gzip file" in run("cut.csv.gz").output
    Path("plain.csv.gz").write_text(HEADER)
    assert "no whole gzip file" in run("plain.csv.gz").output
    assert "--map names the mapping file" in run(rows("1,ana,2026-01-01,1"), mapping=None).output


def test_a_zipped_file_is_read_as_it_is(run: Run) -> None:
    Path("orders.csv.gz").write_bytes(gzip.compress((HEADER + "1,ana,2026-01-05,10.00\n").encode()))
    assert told(run("orders.csv.gz", "--format", "json"))["types"] == {"purchase": 1}


def test_json_lines_are_mapped_by_the_names_of_their_fields(run: Run) -> None:
    Path("map.yaml").write_text(
        MAPPING.replace("customer_id: who", "customer_id: buyer.id").replace(
            "order_id: order", "order_id: lines.0.order"
        )
    )
    Path("orders.jsonl").write_text(
        '{"order": 1, "buyer": {"id": 7}, "when": "2026-01-05", "total": 129.90, "lines": [{"order": "A1"}], "x": null}\n'
        '\n{"order": 2, "total": NaN}\n[1]\n{"order": \n'
    )
    found = told(run("orders.jsonl", "--format", "json"), 1)
    assert (found["rows"], found["events"]) == (4, 1)
    assert [each["line"] for each in found["errors"]] == [3, 4, 5]


def test_a_column_that_no_line_of_json_has_is_a_warning(run: Run) -> None:
    Path("map.yaml").write_text(MAPPING.replace("order_id: order", "order_id: order, coupon: cupom"))
    Path("orders.jsonl").write_text('{"order": 1, "who": "ana", "when": "2026-01-05", "total": "1.00"}\n')
    found = told(run("orders.jsonl", "--format", "json"))
    assert [each["warning"] for each in found["warnings"]] == ["no line has `cupom`, which the mapping reads"]


def test_a_file_without_rows_says_so_and_nothing_else(run: Run) -> None:
    found = told(run(rows(), "--format", "json"))
    assert (found["rows"], [each["warning"] for each in found["warnings"]]) == (0, ["the file has no rows"])


def test_the_line_that_is_in_another_encoding_is_named(run: Run) -> None:
    content = (HEADER + "1,ana,2026-01-05,1.00\n").encode() + "2,joão,2026-01-05,1.00\n".encode("cp1252")
    Path("orders.csv").write_bytes(content)
    assert "orders.csv:3: not UTF-8 text" in " ".join(run("orders.csv").output.split())
    Path("orders.csv.gz").write_bytes(gzip.compress(content))
    assert "orders.csv.gz:3: not UTF-8 text" in " ".join(run("orders.csv.gz").output.split())


def test_lines_in_ingests_own_form_need_no_mapping(run: Run) -> None:
    good = '{"id": "v1", "type": "visit", "customer_id": "ana", "time": "2026-01-05T10:00:00Z", "mode": "live"}'
    Path("events.jsonl").write_text(
        f'\ufeff{good}\n{{"type": "visit", "customer_id": "ana", "time": "2026-01-05T10:00:00"}}\n[]\n{{"typ\n', "utf-8"
    )
    found = told(run("events.jsonl", "--format", "json", mapping=None), 1)
    assert found["types"] == {"visit": 1}
    assert [(each["line"], each.get("pointer")) for each in found["errors"]] == [(2, "/id"), (3, None), (4, None)]
    assert 'nobody declared the type "visit"' in found["warnings"][0]["warning"]


def test_times_that_clocks_made_odd_and_rules_that_nothing_fits_are_warnings(run: Run) -> None:
    mapping = MAPPING.replace("UTC", "America/Sao_Paulo").replace(
        "customer_id: who", "where: {total: {not: x}}\n    customer_id: who"
    )
    Path("map.yaml").write_text(mapping + mapping[mapping.index("  - type") :].replace("{not: x}", "never"))
    found = told(run(rows("1,ana,2018-11-04,1.00"), "--format", "json"))
    said = [each["warning"] for each in found["warnings"]]
    assert any("clocks were put forward" in each for each in said)
    assert any(each.startswith("map.yaml:9:5: no row fits") for each in said), said


def test_nothing_is_left_beside_the_file(run: Run) -> None:
    run(rows("1,ana,2026-01-05,1.00"))
    assert {each.name for each in Path().iterdir()} == {"map.yaml", "orders.csv"}

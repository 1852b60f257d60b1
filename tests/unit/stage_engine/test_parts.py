"""Conditions taken apart: at operators that are code, and nowhere else."""

from __future__ import annotations

import pytest

from services.stage_engine.definitions.parts import Part, parts_of


def written(part: Part) -> str:
    """The tree on one line: `all(a; any(b; c))`."""
    return f"{part.joined_by}({'; '.join(map(written, part.parts))})" if part.parts else part.text


TABLE: dict[str, tuple[str, str]] = {
    "one comparison": ("facts.orders >= 2", "facts.orders >= 2"),
    "all of two": ("a && b", "all(a; b)"),
    "any of two": ("a || b", "any(a; b)"),
    "several are one level": ("a && b && c", "all(a; b; c)"),
    "and binds closer": ("a || b && c", "any(a; all(b; c))"),
    "and binds closer on both sides": ("a && b || c && d", "any(all(a; b); all(c; d))"),
    "brackets come first": ("(a || b) && c", "all(any(a; b); c)"),
    "brackets around the whole": ("((a && b))", "all(a; b)"),
    "brackets that only look so": ("(a) || (b)", "any(a; b)"),
    "brackets with spaces": ("  ( a )  ", "a"),
    "brackets keep their own level": ("a && (b && c)", "all(a; all(b; c))"),
    "not of several stays whole": ("!(a && b) || c", "any(!(a && b); c)"),
    "a list stays whole": ("a in [b || c, d] && e", "all(a in [b || c, d]; e)"),
    "a call stays whole": ("f(a && b) || c", "any(f(a && b); c)"),
    "a choice stays whole": ("a ? b || c : d", "a ? b || c : d"),
    "a choice after an operator too": ("a && b ? c : d", "a && b ? c : d"),
    "a choice in brackets is a part": ("(a ? b : c) && d", "all(a ? b : c; d)"),
    "operators in a text": ("x == 'a && b' || c", "any(x == 'a && b'; c)"),
    "operators in a text of double quotes": ('x == "a || b" && c', 'all(x == "a || b"; c)'),
    "operators in a text of three quotes": ("x == '''a || 'b''' && c", "all(x == '''a || 'b'''; c)"),
    "an escaped quote": (r"x == 'it\'s || a' && b", r"all(x == 'it\'s || a'; b)"),
    "a raw text ends at its backslash": (r"x == r'\' && b", r"all(x == r'\'; b)"),
    "a bracket in a text": ("x == '(' && (a || b)", "all(x == '('; any(a; b))"),
    "a question mark in a text": ("x == 'what?' && a", "all(x == 'what?'; a)"),
    "over several lines": ("a\n  && b\n  || c", "any(all(a; b); c)"),
    "a comment is left out": ("a // or b || c\n && d", "all(a; d)"),
    "a comment at the end": ("a && b // it's Ana's", "all(a; b)"),
    "an apostrophe in a comment hides nothing": ("a // don't\n || x == 'y'", "any(a; x == 'y')"),
    "a quote in a comment begins no raw text": ("a // the customer's\n || x == 'y'", "any(a; x == 'y')"),
    "an address is no comment": ("x == 'http://a' || b", "any(x == 'http://a'; b)"),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_condition_comes_apart_where_it_is_joined(name: str) -> None:
    source, expected = TABLE[name]
    assert written(parts_of(source)) == expected


def test_a_long_chain_is_one_level() -> None:
    assert len(parts_of(" && ".join(["facts.orders > 1"] * 200)).parts) == 200

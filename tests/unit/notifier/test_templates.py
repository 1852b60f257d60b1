"""Templates: bounded, strict, escaped, and written in every language."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from services.notifier.channels.letters import sample_values
from services.notifier.definitions.load import CampaignError, load, parse
from services.notifier.liquid import Template, TemplateError
from services.notifier.rendering import Letters

GOOD = b"""\
key: hello
class: marketing
trigger: {lifecycle: ecommerce, entered: lead}
steps:
  - key: one
    delay: 2d
    template: welcome
"""


@pytest.mark.parametrize(
    "source",
    [
        "{{ (1..999999999) | join: ',' }}",
        "{{ (1..999999999) | reverse | first }}",
        "{{ (1..999999999) | size }}",
        "{% for i in (1..999999999) %}x{% endfor %}",
        "{% for i in (1..900) %}{% for j in (1..900) %}x{% endfor %}{% endfor %}",
        "{% assign s = 'aaaaaaaaaa' %}{% for i in (1..60) %}{% assign s = s | append: s %}{% endfor %}{{ s }}",
        "{% assign n = 9 %}{% for i in (1..500) %}{% assign n = n | times: 999999999 %}{% endfor %}{{ n }}",
        "{{ name | replace: '', name }}",
        "{{ name | safe }}",
        "{% include 'x' %}",
        "{% render 'x' %}",
        "{{ unknown }}",
        "{{ name.unknown }}",
        "{{ 1 | divided_by: 0 }}",
        "{% if %}",
    ],
)
@pytest.mark.parametrize("html", [True, False])
def test_what_is_wrong_or_expensive_is_refused_quickly(source: str, html: bool) -> None:
    began = time.monotonic()
    with pytest.raises(TemplateError):
        Template("t", source, html=html).render({"name": "Ana"})
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("source", "html", "expected"),
    [
        ("{{ name }}", True, "&lt;b&gt;"),
        ("{{ name }}", False, "<b>"),
        ("{{ name | upcase }}", True, "&lt;B&gt;"),
        ("{{ name | append: '<i>' }}", True, "&lt;b&gt;<i>"),
        ("{{ nothing | default: 'you' }}", False, "you"),
        ("{{ at | date: '%d/%m/%Y' }}", False, "22/11/2026"),
    ],
)
def test_what_goes_into_html_is_escaped(source: str, html: bool, expected: str) -> None:
    values = {"name": "<b>", "nothing": None, "at": "2026-11-22T14:03:11Z"}
    assert Template("t", source, html=html).render(values) == expected


def test_the_shipped_letters_are_complete_in_three_languages() -> None:
    letters = Letters("pt-BR")
    letters.check(sample_values("Loja"))
    for template in letters.names():
        assert letters.locales(template) == {"pt-BR", "es", "en"}, template
    subjects = {
        letters.render(template, locale, sample_values("Loja")).subject
        for template in letters.names()
        for locale in letters.locales(template)
    }
    assert len(subjects) == 3 * len(letters.names())


def test_a_customers_name_can_not_break_the_letter() -> None:
    values = sample_values("Loja")
    values["customer"]["name"] = "<script>{{ sender.name }}"
    rendered = Letters("pt-BR").render("welcome", "en", values)
    assert "<script>" not in rendered.html
    assert "<script>{{ sender.name }}" in rendered.text


def test_the_shipped_campaigns_name_only_what_is_there() -> None:
    campaigns = load(None, Letters("pt-BR"))
    assert set(campaigns) == {
        "welcome", "first-purchase-thanks", "loyalty-invitation", "advocate-referral",
        "complaint-received", "complaint-overdue", "complaint-resolved", "win-back",
    }  # fmt: skip
    assert [step.delay_ms for step in campaigns["win-back"].steps] == [0, 7 * 86_400_000]
    assert all(step.while_in_stage for step in campaigns["win-back"].steps)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("key: hello", "key: Hello", "c.yaml:1:1: key: "),
        ("class: marketing", "class: spam", "c.yaml:2:1: class: "),
        ("entered: lead", "entered: lead, left: x", "c.yaml:3:1: trigger: say it in one way"),
        ("entered: lead", "enterd: lead", "c.yaml:3:33: trigger.enterd: "),
        ("delay: 2d", "delay: 2 days", "c.yaml:6:5: steps.0.delay: '2 days' is no duration: write 0, 30s"),
        ("template: welcome", "temlate: welcome", "known here: key, delay, channel, template"),
        ("steps:", "audience: customer.nme == 1\nsteps:", "c.yaml:4:1: the audience can't be read: "),
        ("steps:", "audience: customer.locale\nsteps:", "c.yaml:4:1: the audience gives a text, not true or false; "),
        ("steps:", "audience: change.entry + 1\nsteps:", "c.yaml:4:1: the audience gives a whole number, "),
        ("steps:", "audience: '[1]'\nsteps:", "c.yaml:4:1: the audience gives a value, not true or false; "),
        ("steps:", 'audience: "\\ud800 == 1"\nsteps:', "c.yaml:4:1: audience: "),
        ("steps:", "policy: cooldown\nsteps:", "`cooldown: 30d` and `policy: cooldown` belong together"),
        ("trigger: {", "trigger: {{", "c.yaml:"),
        ("entered: lead}", "entered: [lead}", "in flow style, quote what holds a comma or bracket"),
        ("key: hello", "key: hello\nkey: again", "c.yaml:2:1: "),
    ],
)
def test_a_wrong_file_is_told_with_its_place_and_advice(before: str, after: str, expected: str) -> None:
    with pytest.raises(CampaignError) as raised:
        parse(GOOD.decode().replace(before, after).encode(), "c.yaml")
    assert expected in str(raised.value)


def test_a_key_that_stands_twice_is_told_without_advice_for_something_else() -> None:
    with pytest.raises(CampaignError, match=r"c\.yaml:2:1: .*duplicate key") as raised:
        parse(GOOD.replace(b"key: hello", b"key: hello\nkey: again"), "c.yaml")
    assert "flow style" not in str(raised.value)


@pytest.mark.parametrize(("written", "days"), [("0", 0), ("48h", 2), ("7d", 7), ("2w", 14)])
def test_a_delay_takes_the_units_of_lifecycles_too(written: str, days: int) -> None:
    campaign = parse(GOOD.replace(b"2d", written.encode()), "c.yaml")
    assert campaign.steps[0].delay_ms == days * 86_400_000


def test_a_campaign_with_an_unknown_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(GOOD.replace(b"template: welcome", b"template: nowhere"))
    with pytest.raises(CampaignError, match="names the template 'nowhere'; there are advocate-referral"):
        load(tmp_path, Letters("pt-BR"))


def test_a_good_file_is_read() -> None:
    campaign = parse(GOOD, "c.yaml")
    assert (campaign.steps[0].delay_ms, campaign.steps[0].while_in_stage) == (2 * 86_400_000, True)


def test_sample_values_are_all_that_templates_may_use() -> None:
    values: dict[str, Any] = sample_values("Loja")
    assert set(values) == {"customer", "sender", "change", "facts", "unsubscribe_url"}

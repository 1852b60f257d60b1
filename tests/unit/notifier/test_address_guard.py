"""Which addresses are public, odd forms included."""

from __future__ import annotations

import pytest

from services.notifier.channels.address_guard import is_public
from services.notifier.channels.webhook import is_allowed_url

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2001:4860:4860::8888", "64:ff9b::808:808"]
PUBLIC += ["2002:808:808::1", "::ffff:8.8.8.8"]
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "ff0e::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:7f00:1", "::127.0.0.1", "::ffff:0:127.0.0.1",
    "2002:7f00:1::1", "2002:a00:1::1", "2002:a9fe:a9fe::1",
    "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1", "2001::1", "100::1", "4000::1", "5f00::1",
    "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1",
    "", "localhost", "127.1", "0x7f.1", "2130706433",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("url", "allow_private", "good"),
    [
        ("https://shop.example/hook?x=1", False, True),
        ("https://shop.example:8443/", False, True),
        ("http://shop.example/", False, False),
        ("http://127.0.0.1:9000/", True, True),
        ("ftp://shop.example/", True, False),
        ("https:///nothing", False, False),
        ("https://user:pw@shop.example/", False, False),
        ("https://shop.example/a b", False, False),
        ("https://shop.example/\r\nx: y", False, False),
        ("https://shop.example:99999/", False, False),
        ("https://shop.example:0/", False, False),
        ("https://shöp.example/", False, False),
        ("https://[::1/", False, False),
        ("", False, False),
    ],
)
def test_urls(url: str, allow_private: bool, good: bool) -> None:
    assert (is_allowed_url(url, allow_private=allow_private) == "") is good

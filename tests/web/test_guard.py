"""Who may ask: names over the loopback interface, and where a request comes from that changes something."""

from pathlib import Path

import pytest
from starlette.datastructures import Headers

from ailf.web import dashboard
from ailf.web.guard import host_of, is_same_origin
from tests.web.conftest import client_of

LOOPBACK = "http://127.0.0.1:8484"


@pytest.mark.parametrize(
    ("host", "status"),
    {
        "127.0.0.1:8484": 200,
        "localhost:8484": 200,
        "page.localhost": 200,
        "LOCALHOST.": 200,
        "[::1]:8484": 200,
        "evil.example": 403,
        "127.0.0.1.evil.example": 403,
        "localhost.evil.example:8484": 403,
        "192.168.0.7": 403,
        "[": 403,
        "": 403,
        "ops.example.com": 403,
    }.items(),
)
async def test_over_loopback_by_its_names_alone(full: Path, host: str, status: int) -> None:
    """A name from elsewhere that leads to this machine may be a trap."""
    async with client_of(dashboard(full), LOOPBACK) as client:
        answer = await client.get("/", headers={"host": host})
    assert answer.status_code == status
    if status == 403:
        assert "allow-host" in answer.text


async def test_loopback_is_loopback_on_a_socket_for_both_protocols(full: Path) -> None:
    """Which calls 127.0.0.1 by an address of IPv6."""
    async with client_of(dashboard(full), "http://[::ffff:127.0.0.1]:8484") as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/", headers={"host": "evil.example"})).status_code == 403


async def test_a_proxys_name_may_be_named(full: Path) -> None:
    """Then it is one of those that are known."""
    async with client_of(dashboard(full, hosts=["Ops.example.com"]), LOOPBACK) as client:
        assert (await client.get("/", headers={"host": "ops.example.com:443"})).status_code == 200
        assert (await client.get("/", headers={"host": "evil.example"})).status_code == 403


async def test_over_another_interface_the_name_is_its_hosts_to_judge(full: Path) -> None:
    """Whatever name that is."""
    async with client_of(dashboard(full), "http://10.0.0.7") as client:
        assert (await client.get("/", headers={"host": "ops.example.com"})).status_code == 200


ORIGINS = [
    ({"sec-fetch-site": "same-origin"}, True),
    ({"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, True),
    ({"sec-fetch-site": "cross-site", "origin": "http://page"}, False),
    ({"sec-fetch-site": "same-site"}, False),
    ({"sec-fetch-site": "none"}, False),
    ({"sec-fetch-site": ""}, False),
    ({"origin": "http://page"}, True),
    ({"origin": "http://page:80"}, True),
    ({"origin": "https://page"}, True),
    ({"origin": "http://page:81"}, False),
    ({"origin": "http://evil.example"}, False),
    ({"origin": "null"}, False),
    ({"origin": "http://[page"}, False),
    ({}, False),
    ({"referer": "http://page/"}, False),
]


@pytest.mark.parametrize(("headers", "allowed"), ORIGINS)
def test_a_change_is_asked_for_by_the_page_itself(headers: dict[str, str], *, allowed: bool) -> None:
    """By what a browser says of where it comes from; by neither, not at all."""
    assert is_same_origin(Headers({"host": "page"} | headers)) is allowed


async def test_a_form_of_another_site_cancels_nothing(full: Path) -> None:
    """Nor does a program that says nothing of where it comes from."""
    async with client_of(dashboard(full, actions=True)) as client:
        for headers in ({}, {"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
            answer = await client.post("/cancel", data={"id": "runs"}, headers=headers)
            assert answer.status_code == 403
        assert "Asked to cancel" not in (await client.get("/task?id=runs")).text


def test_the_name_in_a_host_header() -> None:
    """Without port and brackets; of nonsense, none."""
    assert [host_of(one) for one in ("a:1", "[::1]:2", "a.", "[x", "")] == ["a", "::1", "a", "", ""]

"""Where the server is, and how its absence is explained."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.errors import InvalidArgumentError
from ailf.messaging.redis.address import mask, resolve_url


def test_the_url_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, then $AILF_REDIS_URL, then localhost."""
    monkeypatch.setenv("AILF_REDIS_URL", "redis://elsewhere:1/2")
    assert resolve_url("redis://here") == "redis://here"
    assert resolve_url(None) == "redis://elsewhere:1/2"
    monkeypatch.delenv("AILF_REDIS_URL")
    assert resolve_url(None) == "redis://localhost:6379/0"


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "postgres://u:secret@h/d"])
def test_another_kind_of_url_is_refused_without_showing_its_password(url: str) -> None:
    """The error names the schemes that work, and hides the password."""
    with pytest.raises(InvalidArgumentError, match="redis://, rediss://, unix://") as caught:
        resolve_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://user@host/0", "redis://user@host/0"),
        ("redis://user:s3cret@host/0", "redis://user:***@host/0"),
        ("rediss://:s3cret@host:1", "rediss://:***@host:1"),
        ("unix://user@/run/redis.sock?db=0&password=s3cret", "unix://user@/run/redis.sock?db=0&password=***"),
        ("redis://[broken:s3cret@host", "***"),
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str, shown: str) -> None:
    """User, host and options stay legible; a password never does."""
    assert mask(url) == shown


@given(st.text(st.characters(codec="ascii", exclude_characters="/?#[]"), min_size=1))
def test_no_password_survives_masking(password: str) -> None:
    """Whatever the password is made of, it is not in what is shown."""
    assert mask(f"redis://u:{password}@host") == "redis://u:***@host"

"""Servers of one format, distinguished."""

import pytest

from majordomo.providers.profiles import COMMON, PROFILES, guess


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://acme.openai.azure.com/openai/v1", "azure"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "alibaba"),
        ("https://API.Mistral.ai/v1", "mistral"),
        ("https://router.huggingface.co/v1", "huggingface"),
    ],
)
def test_the_host_tells_the_server(base_url: str, name: str) -> None:
    """Also a subdomain of it."""
    assert PROFILES[name] is guess(base_url)


@pytest.mark.parametrize(
    "base_url", ["http://localhost:8000/v1", "https://notapi.groq.com.evil.example/v1"]
)
def test_an_unknown_host_is_taken_for_none_of_them(base_url: str) -> None:
    """The common form is sent."""
    assert COMMON is guess(base_url)


def test_no_two_servers_have_a_host_in_common() -> None:
    """A guess has one answer."""
    hosts = [host for profile in PROFILES.values() for host in profile.hosts]

    assert len(hosts) == len(set(hosts))

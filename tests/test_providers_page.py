"""docs/providers.md shows what the codecs do."""

from scripts import providers_page


def test_the_page_is_fresh() -> None:
    """`make reference` would change nothing."""
    assert providers_page.page() == providers_page.PAGE.read_text()


def test_every_wire_can_say_the_most_usual() -> None:
    """Instructions, pictures, tools and schemas are not for some alone."""
    usual = ("system instruction", "image, bytes", "tools", "tool named", "JSON Schema")
    for _, codec in providers_page.codecs():
        for feature in usual:
            reported = providers_page.cell(codec, providers_page.FEATURES[feature])

            assert "yes" == reported

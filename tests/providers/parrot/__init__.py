"""A kind of provider that majordomo does not have: a folder as its own ones are."""

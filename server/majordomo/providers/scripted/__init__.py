"""Answers by a script, for tests."""

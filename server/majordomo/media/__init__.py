"""Requests made to fit a target: what their media may be."""

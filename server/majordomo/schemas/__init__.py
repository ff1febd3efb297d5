"""JSON Schemas of callers: read within bounds, made to fit a target, kept to.

A schema comes with every call anew, and from whoever may call: what is made of one is
kept by its text, bounded, and what would take long or much is refused.
"""

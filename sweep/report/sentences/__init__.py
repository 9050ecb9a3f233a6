"""Sentences that follow from the numbers, a module per section; each says by which rule.

Every function returns finished markdown sentences, and none where the numbers for them are missing.
"""

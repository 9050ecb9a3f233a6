"""Carries out a run from its first event to its report: the driver, the session around it, and the outcome.

`preflight/` checks a study and a machine before anything trains, `evaluation/` computes what learned models are
compared with, and `callbacks/` follows a run's events. Each calls the layers below it; none of those calls back.
"""

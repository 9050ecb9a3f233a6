"""A run from its first line to its report: the driver, the session around it, its outcome.

`preflight/` is what is found out before anything trains, `evaluation/` what learned models are compared with,
`callbacks/` what follows a run's events. Each calls the parts below; none of them calls back.
"""

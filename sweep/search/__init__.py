"""Which trials a study has, how they compete, what is recorded of them, and who wins: from events to plain values.

Knows neither Ray nor torch: how a trial is trained, and where, is the business of `aesweep.training` and
`aesweep.cluster`.
"""

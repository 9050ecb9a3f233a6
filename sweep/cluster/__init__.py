"""The only place that imports Ray: a stage as a Tune run."""

"""From a study file to a finished report: search, retraining, tables and figures."""

"""Rules that stop trials early, each kept apart from Ray, so that its decisions can be derived again from the rows."""

"""Rules that stop trials early. They do not depend on Ray, so that decisions can be derived again from the rows."""

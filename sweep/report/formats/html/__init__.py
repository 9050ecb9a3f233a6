"""The report as one page of HTML that needs neither a network nor a server."""

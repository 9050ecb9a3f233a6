"""How the report words things: numbers, and markdown in which text from a run is inert."""

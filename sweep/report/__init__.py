"""From a run folder to markdown tables, figures and the report; never Ray, never a live run."""

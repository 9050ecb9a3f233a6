"""A run as a researcher takes it into a notebook: frames, figures and models, read from the run's folder alone.

What is computed here is only how to arrange numbers that `aesweep.report` has. Neither Ray nor torch is imported before
a model is asked for.
"""

from aesweep.results.loaded_run import LoadedRun, NotInRunError, load_run

__all__ = ["LoadedRun", "NotInRunError", "load_run"]

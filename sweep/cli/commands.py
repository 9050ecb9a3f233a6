"""The group of all commands, and how the user's mistakes are reported. Data goes to stdout, messages to stderr.

Exit codes: 0 done; 1 done, with something left without a result; 2 usage; 65 data or record; 73 run folder; 78 study;
129, 130 and 143 ended by SIGHUP, SIGINT and SIGTERM.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from aesweep.cli.cluster import fetch, leave_on_notice, logs, stop, submit
from aesweep.cli.compare import compare
from aesweep.cli.data import data
from aesweep.cli.doctor import doctor
from aesweep.cli.export import export
from aesweep.cli.inspect import report, status
from aesweep.cli.plan import plan
from aesweep.cli.reconstruct import reconstruct
from aesweep.cli.run import extend, resume, retrain, run
from aesweep.cli.view import view
from aesweep.data.image_data import DataError
from aesweep.process.errors import EX_CANTCREAT, EX_DATAERR, AesweepError
from aesweep.process.standard_streams import OutputError


class Commands(click.Group):
    """The group of commands; the user's mistakes become one line and an exit code instead of a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except AesweepError as error:
            for line in str(error).splitlines():
                click.echo(f"error: {line}", err=True)
            context.exit(error.exit_code)
        except DataError as error:
            click.echo(f"error: {error}", err=True)
            context.exit(EX_DATAERR)
        except KeyboardInterrupt as error:
            context.exit(error.args[0] if error.args else 130)
        except BrokenPipeError:
            context.exit(0)  # the reader of stdout has closed it, as `head` does; nothing is wrong
        except OutputError:
            raise
        except OSError as error:
            # An error of a storage has no file name, since its message holds the URL.
            place = f"{error.filename}: " if error.filename else ""
            click.echo(f"error: {place}{error.strerror or error}", err=True)
            context.exit(EX_CANTCREAT)


@click.group(cls=Commands)
@click.version_option(package_name="aesweep")
def commands() -> None:
    """One autoencoder study file in, a finished report out."""


for _command in (
    *(plan, run, resume, status, report, view, retrain, extend, compare, reconstruct, export),
    *(doctor, submit, logs, stop, fetch, data, leave_on_notice),
):
    commands.add_command(_command)


def main() -> None:
    try:
        commands(prog_name="aesweep")
    except OutputError as error:
        click.echo(f"error: {error.filename}: {error.strerror}; the rest of the output is lost", err=True)
        sys.exit(1)

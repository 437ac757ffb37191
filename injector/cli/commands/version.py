"""`injector version`."""

from typing import Final

from injector.cli.options import Report, ReportOption, examples

NAME: Final = "version"
EXAMPLES: Final = examples("injector version", "injector version -o json")


def run(output: ReportOption = Report.TEXT) -> None:
    """Print the version of this command line, which is the version it installs."""
    from injector import __version__
    from injector.cli.documents.write import to_json
    from injector.cli.terminal import emit

    emit(to_json({"version": __version__}) if output is Report.JSON else f"injector {__version__}\n")

"""``ailf serve``: the page on a journal, for a browser."""

import webbrowser
from pathlib import Path

import click

from ailf.cli.groups import examples
from ailf.cli.options import journal_option


@click.command(epilog=examples("serve --open", "serve --journal night.db --port 0 --actions"))
@journal_option
@click.option("--host", default="127.0.0.1", show_default=True, metavar="NAME", help="Where to listen.")
@click.option("--port", default=8484, show_default=True, type=click.IntRange(0, 65535), help="0 is any free one.")
@click.option("--actions", is_flag=True, help="Let tasks be cancelled from the page.")
@click.option(
    *("--allow-host", "hosts"), multiple=True, metavar="NAME", help="A name that a proxy here asks by; may be repeated."
)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def serve(*, journal: Path, host: str, port: int, actions: bool, hosts: tuple[str, ...], opens: bool) -> None:
    """Serve a page on a journal, also while programs write to it.

    It is only read, unless --actions is given. Whoever can reach the address sees all that is in the
    journal: nobody is asked who they are. Ctrl-C ends it.
    """
    from ailf.web.serve import serve as serve_page  # noqa: PLC0415 - its libraries are an extra

    def ready(address: str) -> None:
        click.echo(f"The journal {journal} is at {address} (Ctrl-C ends this)")
        if opens:
            webbrowser.open(address)

    serve_page(journal, host=host, port=port, actions=actions, hosts=hosts, ready=ready)

"""`trueup hub ask`: a question to any hub from a script, which keeps working when the hub is of another release."""

import http.client
import json
import os
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from trueup_hub.cli.loading import data_dir_of, load_settings, one_line_errors
from trueup_hub.running import running_hub
from trueup_shared import __version__
from trueup_shared.cli import Failure, Globals, HubUnreachable, WrongUsage
from trueup_shared.selection import Change, coerce, endpoints
from trueup_shared.terminal import printable

_SECONDS = 120
_ABOUT = (  # what answers are about
    *("host", "harness", "project", "model", "provider", "label", "from", "to", "timezone"),
    *("quality", "state"),
)


@click.command()
@click.argument("endpoint")
@click.argument("wanted", nargs=-1, metavar="[NAME=VALUE]…")
@click.option("--url", metavar="URL", help="The hub; default TRUEUP_HUB_URL, else the one of this data directory.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Default TRUEUP_TOKEN[_FILE].")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout instead of JSON.")
@click.option("--strict", is_flag=True, help="Ask nothing where something had to be put back; exit status 2.")
@click.pass_obj
def ask(
    given: Globals,
    endpoint: str,
    wanted: tuple[str, ...],
    url: str | None,
    token_file: Path | None,
    as_csv: bool,
    strict: bool,
) -> None:
    """Ask a hub, e.g. `analytics/heatmap metric=cost label=team:web`, and print its answer.

    What the hub does not have is put back to a default before anything is asked, and told on stderr with the reason;
    but for filters, days and zone: without them the answer would be about something else, so nothing is asked then.
    """
    hub = _Hub((url or _url(given)).rstrip("/"), _token(token_file))
    values = _values(wanted)
    if as_csv:
        values["format"] = ["csv"]
    capabilities, name = hub.capabilities(), endpoint.strip("/")
    found = coerce(capabilities, name, values)
    if found.endpoint is None:
        can = endpoints(capabilities)
        instead = f": ask {', '.join(can)}" if can and name not in can else ""
        raise WrongUsage(printable("; ".join(change.reason for change in found.changes) + instead))
    if strict and found.changes:
        raise WrongUsage("; ".join(map(_in_words, found.changes)))
    if lost := [c.reason for c in found.changes if c.parameter in _ABOUT and c.parameter not in found.values]:
        raise WrongUsage(
            f"{printable('; '.join(lost))}: nothing was asked, as the answer would be about something else"
        )
    for change in found.changes:
        click.echo(f"trueup: {_in_words(change)}", err=True)
    text = hub.get(found.endpoint, found.query)
    if _to_terminal():  # what logs name is shown there, and moves no cursor; a file gets the very text
        text = "\n".join(map(printable, text.replace("\r\n", "\n").split("\n")))
    click.echo(text, nl=not as_csv)


def _to_terminal() -> bool:
    return sys.stdout.isatty()


def _in_words(change: Change) -> str:
    now = f"{change.parameter}={change.instead[0]}" if change.instead else "without it"
    return printable(f"{change.reason}: asking {now}")


def _values(wanted: Iterable[str]) -> dict[str, list[str]]:
    """`NAME=VALUE`, repeated for several values."""
    values: dict[str, list[str]] = {}
    for pair in wanted:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise WrongUsage(f"'{pair}': write NAME=VALUE, such as metric=cost")
        values.setdefault(name, []).append(value)
    return values


def _url(given: Globals) -> str:
    if found := os.environ.get("TRUEUP_HUB_URL"):
        return found
    with one_line_errors():
        running = running_hub(load_settings(given, data_dir_of(given)).hub_dir)
    if running is None or running.url is None:
        raise WrongUsage("no hub runs on this data directory: name one with --url")
    return running.url


def _token(file: Path | None) -> str:
    named = file or os.environ.get("TRUEUP_TOKEN_FILE")
    try:
        token = Path(named).read_text(encoding="utf-8") if named else os.environ.get("TRUEUP_TOKEN", "")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"token file {named}: {getattr(error, 'strerror', None) or 'is not text'}") from None
    if not token.strip():
        raise WrongUsage("a viewer's token is needed, from `trueup hub token create`: TRUEUP_TOKEN or --token-file")
    return token.strip()


class _Hub:
    def __init__(self, url: str, token: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise WrongUsage(f"'{url}' is not the address of a hub: write it as https://HOST[:PORT][/PATH]")
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": f"trueup/{__version__}"}

    def capabilities(self) -> dict[str, Any]:
        try:
            found = json.loads(self.get("capabilities"))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Failure(f"{self._url} answers, but not as a trueup hub")
        return found

    def get(self, path: str, query: Iterable[tuple[str, str]] = ()) -> str:
        """The body of the answer. A redirect is none: the token is for this hub."""
        address = f"{self._url}/api/v1/{urllib.parse.quote(path)}?{urllib.parse.urlencode(list(query))}"
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            request = urllib.request.Request(address.rstrip("?"), headers=self._headers)
            with opener.open(request, timeout=_SECONDS) as answer:
                text: str = answer.read().decode()
                return text
        except urllib.error.HTTPError as error:
            raise Failure(f"the hub at {self._url} answers: {_problem(error)}") from None
        except http.client.HTTPException as error:
            raise Failure(f"{self._url} answers, but not as a hub: {error!r}") from None
        except (OSError, ValueError, ssl.SSLError) as error:
            why = getattr(error, "reason", error)
            raise HubUnreachable(f"the hub at {self._url} cannot be reached: {why}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **named: Any) -> None:
        return None


def _problem(error: urllib.error.HTTPError) -> str:
    try:
        detail = json.loads(error.read())["detail"]
    except (OSError, http.client.HTTPException, ValueError, RecursionError, KeyError, TypeError):
        detail = error.reason
    return f"{detail} ({error.code})"

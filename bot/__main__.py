"""The command line. Every command imports what it needs when it runs, so that `--help` stays instant."""

from __future__ import annotations

import sys
import warnings
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

FAULT, USAGE, REFUSED = 1, 2, 3

app = typer.Typer(
    name="tinyapprover",
    help="Access requests decided from Slack or from the page: evidence, advice, a person's decision, the grant.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing boxes around the help would double the time it takes
    context_settings={"max_content_width": 120},
    add_completion=False,
)
policy = typer.Typer(help="The catalogue and the guardrails.", no_args_is_help=True)
people = typer.Typer(help="Who may decide: accounts linked by an admin.", no_args_is_help=True)
audit = typer.Typer(help="The audit trail.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(policy, name="policy")
app.add_typer(people, name="people")
app.add_typer(audit, name="audit")
jobs = typer.Typer(help="What waits to be done, and what fails.", invoke_without_command=True)
db = typer.Typer(help="The database: its schema, and moving to PostgreSQL.", no_args_is_help=True)
app.add_typer(jobs, name="jobs")
app.add_typer(db, name="db")
setup = typer.Typer(help="What the vendors have to be told once.", no_args_is_help=True)
app.add_typer(setup, name="setup")

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Instead of TINYAPPROVER_DATA_DIR.")]
Documents = Annotated[
    Path | None, typer.Option("--documents", help="Read this folder alone, whatever the settings choose.")
]


@app.command()
def run(
    role: Annotated[
        str | None, typer.Option(help="front or executor: that one alone. all: both in one process.")
    ] = None,
) -> None:
    """Run the bot with the settings of the environment or .env: front and executor, each in its own process."""
    from bot import commands

    commands.run(role)


@app.command()
def stop(
    request: Annotated[str, typer.Argument(help="A request, such as TA-12.")],
    why: Annotated[str, typer.Option(help="Told to everybody whom it concerns.")] = "",
) -> None:
    """Stop one request: what was not granted yet never is, and live access is taken back now."""
    from bot import urgent_commands

    urgent_commands.stop(request, why)


@app.command()
def freeze(why: Annotated[str, typer.Option(help="Told to everybody who waits.")]) -> None:
    """Halt all execution, in every process: nothing is granted until thaw. Access still ends on time."""
    from bot import urgent_commands

    urgent_commands.freeze(why)


@app.command()
def thaw() -> None:
    """End a freeze: what was approved meanwhile is checked once more and granted."""
    from bot import urgent_commands

    urgent_commands.thaw()


@app.command()
def revoke(
    all_of: Annotated[str, typer.Option(help="Login of whoever loses everything that was given here.")],
    why: Annotated[str, typer.Option(help="Told to everybody whom it concerns.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take back everything that one person was given, and stop what is approved or waits for them."""
    from bot import urgent_commands

    urgent_commands.revoke(all_of, why, yes=yes)


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port of the page.")] = 8765,
    data_dir: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path(".demo"),
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Try everything in a browser: stand-ins for Slack, PagerDuty, Okta and a model, on this machine alone."""
    from bot import commands

    commands.demo(port, data_dir, open_browser=open_browser)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="A new directory for your own policies.")],
) -> None:
    """Write a starter set of policies to make your own."""
    from bot import commands

    commands.init(directory)


@app.command()
def check() -> None:
    """Check every setting, token, scope, address and permission; each gets a tick or the cure."""
    from bot import commands

    commands.check()


@app.command()
def search(
    query: Annotated[str | None, typer.Argument(help="What to look for, in plain words.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many passages.")] = 5,
    jsonl: Annotated[
        bool,
        typer.Option("--jsonl", help='For scripts: answers each line {"q": "...", "k": 10} of the input with one.'),
    ] = False,
    responders: Annotated[
        bool,
        typer.Option("--responders", help="Also what only responders may see: restricted pages, and their channel's."),
    ] = False,
    data_dir: DataDir = None,
    documents: Documents = None,
) -> None:
    """Search what is indexed, as cards and answers do. Through the bot while it runs.

    Finds what everybody may see. Exit codes: 0 answered, 1 fault, 2 usage or settings.
    """
    from bot import document_commands

    if jsonl == (query is not None):
        raise typer.BadParameter("say what to look for, or --jsonl to read it from the input")
    if query is None:
        document_commands.search_lines(data_dir, documents, responders=responders)
    else:
        document_commands.search(query, k, data_dir, documents, responders=responders)


@app.command()
def index(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Sources to read, such as documents or slack-history; all that are chosen if absent."),
    ] = None,
    data_dir: DataDir = None,
    documents: Documents = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make all vectors anew.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Forget what is gone, however much; do not ask.")] = False,
) -> None:
    """Read the sources anew; what has not changed is not embedded again. Through the bot while it runs.

    A reading that would forget more than 30 % of a source stops and asks; without a terminal nothing is forgotten.
    Exit codes: 0 all read, 1 something could not be read, 2 usage or settings, 3 stopped until somebody agrees.
    """
    from bot import document_commands

    document_commands.index(sources or (), data_dir, documents, rebuild=rebuild, yes=yes)


@app.command()
def evidence(
    file: Annotated[Path, typer.Argument(help="The SQLite file to write.")],
    since: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day (UTC).")],
    until: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day (UTC), included.")],
    with_text: Annotated[bool, typer.Option("--with-text", help="With people's words and names.")] = False,
) -> None:
    """Build one SQLite file for an auditor, and check that approval came before every grant."""
    from bot import audit_commands

    audit_commands.evidence(file, since, until, with_text=with_text)


@policy.command("check")
def policy_check(
    directory: Annotated[Path | None, typer.Argument(help="Instead of TINYAPPROVER_POLICIES.")] = None,
) -> None:
    """Validate catalogue and guardrails, run their examples, and test that every guardrail matters."""
    from bot import commands

    commands.policy_check(directory)


@people.command("link")
def people_link(
    email: Annotated[str, typer.Argument(help="Their directory login.")],
    slack: Annotated[str, typer.Option(help="Their Slack user id (U...).")],
) -> None:
    """Link somebody who decides: directory, Slack and PagerDuty accounts, by their ids."""
    from bot import commands

    commands.people_link(email, slack)


@people.command("list")
def people_list() -> None:
    """Everybody linked."""
    from bot import commands

    commands.people_list()


@people.command("unlink")
def people_unlink(email: Annotated[str, typer.Argument(help="Their directory login.")]) -> None:
    """Forget a link, so that they cannot decide any more."""
    from bot import commands

    commands.people_unlink(email)


@setup.command("pagerduty")
def setup_pagerduty(
    url: Annotated[str, typer.Option(help="Where PagerDuty reaches this program, such as https://bot.example.com.")],
) -> None:
    """Have PagerDuty send comments at once: makes the webhook, or finds and enables the one that is there."""
    from bot import commands

    commands.setup_pagerduty(url)


@audit.command("verify")
def audit_verify() -> None:
    """Check the whole chain, the texts beside it, and the anchors: nothing changed, removed, inserted or cut off."""
    from bot import audit_commands

    audit_commands.verify()


@audit.command("show")
def audit_show(request: Annotated[str, typer.Argument(help="A request, such as TA-12.")]) -> None:
    """Everything that happened to one request, in order, with the words that were not erased."""
    from bot import audit_commands

    audit_commands.show(request)


@audit.command("export")
def audit_export(
    form: Annotated[str, typer.Option("--format", help="jsonl, csv or ocsf.")] = "jsonl",
) -> None:
    """The whole trail to standard output, a line each; no words of people."""
    from bot import audit_commands

    audit_commands.export(form)


Why = Annotated[str, typer.Option("--why", help="The reason, which is kept in the trail.")]


@audit.command("abandon")
def audit_abandon(why: Why) -> None:
    """Declare that what the anchors tell of is lost, after an older backup was restored; an event for ever."""
    from bot import audit_commands

    audit_commands.abandon(why)


@audit.command("erase")
def audit_erase(
    who: Annotated[str, typer.Argument(help="Their directory login or id, or Slack user id.")],
    why: Why,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it only says what it would erase.")] = False,
) -> None:
    """Erase somebody's words from closed requests and the index; the chain stays whole and says that it was done."""
    from bot import audit_commands

    audit_commands.erase(who, why, really=yes)


@jobs.callback()
def jobs_list(context: typer.Context) -> None:
    """List what waits: what is in trouble first, then by time."""
    if context.invoked_subcommand is None:
        from bot import upkeep

        upkeep.jobs_list()


@jobs.command("retry")
def jobs_retry(
    request: Annotated[str, typer.Argument(help="A request, such as TA-12.")],
    kind: Annotated[str | None, typer.Argument(help="A job of it, such as page; all that failed if absent.")] = None,
) -> None:
    """Try what failed at once. What waits for its time (an end, an expiry) keeps waiting."""
    from bot import upkeep

    upkeep.jobs_retry(request, kind)


@jobs.command("explain")
def jobs_explain(
    kind: Annotated[str | None, typer.Argument(help="A kind of job, such as page; all if absent.")] = None,
) -> None:
    """Say what a kind of job does."""
    from bot import upkeep

    upkeep.jobs_explain(kind)


@db.command("upgrade")
def db_upgrade(
    url: Annotated[str | None, typer.Argument(help="Instead of TINYAPPROVER_DATABASE_URL.")] = None,
) -> None:
    """Bring the schema to what this version of the program needs. Once, while no older version runs."""
    from bot import upkeep

    upkeep.db_upgrade(url)


@db.command("move")
def db_move(
    source: Annotated[str, typer.Argument(help="sqlite:///path/to/tinyapprover.db, with the program stopped.")],
    target: Annotated[str, typer.Argument(help="postgresql://... of an empty database.")],
) -> None:
    """Copy everything from SQLite to PostgreSQL, whole or not at all, and verify counts and audit trail."""
    from bot import upkeep

    upkeep.db_move(source, target)


def main() -> None:
    """Errors become one clear message and an exit code: 1 fault, 2 usage or settings, 3 refused."""
    from bot.errors import Fault, Refused, SettingsError

    if not sys.warnoptions:  # packages warn those who develop; what is for whoever runs this, it says itself
        warnings.simplefilter("ignore")
    try:
        app()
    except SettingsError as problem:
        _leave(str(problem), USAGE)
    except Refused as refused:
        _leave(refused.sentence, REFUSED)
    except Fault as fault:
        _leave(str(fault), FAULT)


def _leave(message: str, code: int) -> None:
    typer.echo("\n".join(f"tinyapprover: {line}" for line in message.splitlines()), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()

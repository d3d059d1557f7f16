"""The suite on every Python that the project names, and on the oldest dependencies that it declares."""

import nox

nox.options.error_on_missing_interpreters = True  # a Python that is not there has passed nothing

PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the suite on one Python."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the suite with the lower bound of each dependency that a user's environment brings."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["cli"]]
    session.install("-e", ".[dev]", *(requirement.replace(">=", "==") for requirement in declared))
    session.run("pip", "check")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the documentation into ``build/docs``; whatever is not right in it is an error."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-n", "-W", "--keep-going", "docs", "build/docs")

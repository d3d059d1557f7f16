"""The wheel: installed by itself, it makes and upgrades a journal with no checkout at hand."""

import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from ailf.async_tasks.journal.care import migrate
from ailf.async_tasks.journal.form.engine import create_file
from tests.async_tasks.journal.support import run

TOP = Path(__file__).parents[1]
PROGRAM = """
import asyncio, sys
import ailf
from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care.migrate import migrations_folder

async def main():
    async with TaskManager(sys.argv[1]) as manager:
        print(await manager.wait_for_task(await manager.submit(asyncio.sleep(0, "done"))))

asyncio.run(main())
print(ailf.__file__)
print(migrations_folder())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built as a release is."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, TOP)
    [file] = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder)
    interpreter = folder / "bin" / "python"
    pip(interpreter, "install", "--quiet", "--no-compile", wheel)
    return interpreter


def pip(python: Path, *arguments: object) -> str:
    """Run the pip of this environment on another one, which then needs none of its own."""
    return run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, *arguments).stdout


def test_the_source_distribution_holds_what_its_tests_need(tmp_path: Path) -> None:
    """Whoever packages it runs the suite from there: every folder that the tests look into comes along."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", tmp_path, TOP)
    [file] = tmp_path.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("ailf", "benchmarks", "docs", "examples", "migrations", "tests"):
        there = {path.relative_to(TOP) for path in (TOP / folder).rglob("*.*") if path.suffix in {".py", ".md", ".gz"}}
        assert sorted(str(path) for path in there if str(path) not in names) == []
    assert names >= {"pyproject.toml", "alembic.ini", "noxfile.py", "README.md", "CHANGELOG.md", "LICENSE"}


def test_the_wheel_holds_the_package_and_its_migrations_alone(wheel: Path) -> None:
    """Types for checkers, every migration, and neither tests nor compiled leftovers."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "ailf/py.typed" in names
    scripts = {f"ailf/migrations/{file.relative_to(TOP / 'migrations')}" for file in TOP.glob("migrations/**/*.py")}
    assert "ailf/migrations/env.py" in scripts
    assert scripts <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"ailf"}
    assert not [name for name in names if "__pycache__" in name]


def test_its_dependencies_fit_together(python: Path) -> None:
    """Nothing is missing, and nothing excludes another."""
    assert "No broken requirements found." in pip(python, "check")


def test_it_makes_a_journal_and_uses_it_again(python: Path, tmp_path: Path) -> None:
    """The package that runs, and the migrations that it runs, are the installed ones."""
    journal = tmp_path / "tasks.db"
    for _ in range(2):
        result, package, migrations = run(python, "-c", PROGRAM, journal, cwd=tmp_path).stdout.splitlines()
        assert result == "done"
        assert Path(package).is_relative_to(python.parents[1])
        assert Path(migrations).is_relative_to(python.parents[1])
    assert migrate.revision_of(journal) == migrate.HEAD


def test_it_upgrades_an_older_journal(python: Path, tmp_path: Path) -> None:
    """A journal that stopped at an earlier revision, here the very first, is brought to the newest one."""
    journal = tmp_path / "tasks.db"
    create_file(journal)
    assert migrate.revision_of(journal) is None
    run(python, "-c", PROGRAM, journal, cwd=tmp_path)
    assert migrate.revision_of(journal) == migrate.HEAD


def test_alembic_s_commands_find_its_migrations(python: Path, tmp_path: Path) -> None:
    """Whoever has only the wheel runs them from a program, with ``script_location = ailf:migrations``."""
    program = """
import sys
from alembic import command
from alembic.config import Config

config = Config()
config.set_main_option("script_location", "ailf:migrations")
config.attributes["journal"] = sys.argv[1]
command.upgrade(config, "head")
command.current(config)
"""
    assert f"{migrate.HEAD} (head)" in run(python, "-c", program, tmp_path / "tasks.db", cwd=tmp_path).stdout

"""docs/operations.md names what is there: every part, every secret, commands and figures that exist."""

import re

from compose_file import ONCE, ROOT, SECRETS, STACK, services

from afterwrite.jobs.broker import DEAD_LETTERS, REQUESTS, RESULTS

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_part_that_runs_has_its_size_and_its_own_row() -> None:
    sizes = TEXT.partition("## Sizing")[2].partition("## Backup")[0]
    assert set(re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\| (`[^|]*)\|", sizes, re.MULTILINE)))) == {
        name for name in STACK if name not in ONCE
    }
    rows = re.findall(r"^\| \*\*(.*?)\*\* \|(.*)\|$", TEXT, re.MULTILINE)
    assert [name for name, _ in rows] == [
        "api",
        "worker",
        "consumer",
        "notification",
        "RabbitMQ",
        "Redis",
        "Airflow api-server",
        "Airflow scheduler",
        "Airflow dag-processor",
        "PostgreSQL",
    ]
    for name, row in rows:
        assert row.count(" | ") == 4, name
        assert all(cell.strip() for cell in row.split(" | ")), name


def test_the_limits_of_memory_are_those_of_the_compose_file() -> None:
    for names, limit in re.findall(r"^\| (`[a-z-`, ]+) \| [^|]+ \| (\d+ [MG]B) \|", TEXT, re.MULTILINE):
        for name in re.findall(r"[a-z-]{4,}", names):
            assert services()[name]["mem_limit"] == limit.replace(" ", "").lower().removesuffix("b"), name


def test_commands_name_containers_that_exist() -> None:
    named = re.findall(r"\bdc (?:exec(?: -T)?|up --detach|restart|logs(?: --tail \d+)?) ([a-z][a-z-]+)", TEXT)
    assert len(named) > 20
    assert set(named) <= set(STACK)


def test_every_secret_is_told_how_to_change() -> None:
    rows = TEXT.partition("## Secrets")[2]
    assert set(re.findall(r"`([A-Z_]+)`", "".join(re.findall(r"^\| ([^|]*)\|", rows, re.MULTILINE)))) == {
        *SECRETS,
        "WEBHOOK_SECRET",
    }


def test_programs_queues_and_figures_exist() -> None:
    for queue in re.findall(r"\bairflow\.(?!example)[a-z-]+", TEXT):
        assert queue in (REQUESTS, RESULTS, DEAD_LETTERS)
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in [ROOT / "afterwrite/service/metrics.py", *(ROOT / "afterwrite/jobs").glob("*.py")]
    )
    figures = re.findall(r"`(afterwrite_[a-z_]+)", TEXT)
    assert len(figures) == 3
    for figure in figures:
        assert figure.removesuffix("_total") in sources
    for program in re.findall(r"python3? ([a-z_]+\.py)", TEXT):
        assert (ROOT / program).is_file()

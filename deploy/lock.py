"""Write the requirements of the image, every version with its hashes, and the list of licences.

Run it after a change of the dependencies: `uv run python deploy/lock.py`. The versions are those of pyproject.toml; no
address of an index is written. `tests/deploy/test_lock.py` fails when the files are older than pyproject.toml.
"""

import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "deploy" / "requirements.txt"
BUILD_REQUIREMENTS = ROOT / "deploy" / "build-requirements.txt"
STORES = {"s3": "s3fs==2026.9.0"}
"""By the build argument OBJECTS of the image: the driver of an object store that it brings (RECORDINGS_URL)."""
LICENCES = ROOT / "docs" / "licences.md"
NOT_IN_METADATA: Mapping[str, str] = {"espeakng-loader": "GPL-3.0-or-later (espeak-ng, which it contains)"}
"""Licences that a package does not name in its metadata, read in its files."""

_HEAD = """\
# Licences

Switchboard is under the [MIT licence](../LICENSE). A production installation (`pip install .`, the
image) brings these packages. `psycopg` is LGPL: it is used as a library, unchanged, and can be replaced.

espeak-ng, the speech synthesiser of the demo and of the simulators, is GPL-3.0-or-later. It is in the extra `demo`
only, which `uv run` in a checkout has by default, and which neither the image nor a plain installation has: there the
simulators' voices are hums.

| package | version | licence |
|---|---|---|
"""


def requirements_of(store: str) -> Path:
    """Return the file of what the image needs beside its requirements for an object store."""
    return ROOT / "deploy" / f"requirements-{store}.txt"


def compile_requirements(source: str, target: Path, *more: str) -> None:
    """Resolve `source` for every platform and write the versions with their hashes."""
    options = [
        "--universal",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--quiet",
        "--python-version",
        "3.11",
    ]
    subprocess.run(  # noqa: S603 - our own command
        ["uv", "pip", "compile", *options, *more, "-o", str(target), source],  # noqa: S607
        cwd=ROOT,
        check=True,
    )


def names_in(requirements: Path) -> dict[str, str]:
    """Return the packages of a requirements file, with their versions."""
    lines = (line for line in requirements.read_text().splitlines() if "==" in line and not line.startswith(" "))
    pairs = (line.split(";")[0].removesuffix(" \\").strip().split("==") for line in lines)
    return {name.strip().lower(): version.strip() for name, version in pairs}


def licence_of(package: Distribution) -> str:
    """Return the licence that a package declares, as an SPDX expression where it has one."""
    metadata = package.metadata
    classifiers = metadata.get_all("Classifier") or []
    named = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License ::")]
    free_text = (metadata["License"] or "").splitlines()[:1]
    found = metadata["License-Expression"] or " or ".join(named) or " ".join(free_text)
    return found or NOT_IN_METADATA.get(package.name.lower(), "not declared")


def rows(wanted: Mapping[str, str]) -> Iterator[str]:
    """Return a row of the table for each wanted package that is installed here."""
    installed = {package.name.lower().replace("_", "-"): package for package in distributions()}
    for name, version in sorted(wanted.items()):
        if (package := installed.get(name)) is not None:
            yield f"| {name} | {version} | {licence_of(package)} |"


def main() -> None:
    """Write all files."""
    compile_requirements("pyproject.toml", REQUIREMENTS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = ROOT / "deploy" / ".wanted.in"
    objects = project["project"]["optional-dependencies"]["objects"]
    try:
        wanted.write_text("\n".join(project["build-system"]["requires"]))
        compile_requirements(str(wanted), BUILD_REQUIREMENTS)
        for store, driver in STORES.items():
            wanted.write_text("\n".join([*objects, driver]))
            compile_requirements(str(wanted), requirements_of(store), "--no-config", "-c", str(REQUIREMENTS))
    finally:
        wanted.unlink()
    LICENCES.write_text(_HEAD + "\n".join(rows(names_in(REQUIREMENTS))) + "\n")


if __name__ == "__main__":
    main()

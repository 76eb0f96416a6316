"""The locked packages of the set-up commands: they are those of pyproject.toml and constraints.txt, and each has hashes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = ["dev.txt", "run.txt", "torch-cpu.txt", "torch.txt"]


def locked(*names):
    """The entries of files: by name, the requirement and its hashes."""
    found = {}
    for name in names:
        text = (ROOT / "requirements" / name).read_text().replace("\\\n", "")
        for line in text.splitlines():
            if not line.startswith("#"):
                requirement, *hashes = re.split(r"\s+--hash=", line.strip())
                found[canonicalize_name(Requirement(requirement).name)] = (Requirement(requirement), hashes)
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_package_has_one_version_and_hashes(name):
    entries = locked(name)
    assert entries
    for requirement, hashes in entries.values():
        assert [one.operator for one in requirement.specifier] == ["=="]
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes)


def test_all_that_is_needed_is_locked():
    """Where this fails after a change of pyproject.toml: `make lock`."""
    run = locked("run.txt", "torch.txt")
    for needed in map(Requirement, PROJECT["dependencies"]):
        requirement, _ = run[canonicalize_name(needed.name)]
        (version,) = requirement.specifier
        assert needed.specifier.contains(version.version)
    dev = locked("dev.txt", "torch.txt")
    assert {canonicalize_name(Requirement(one).name) for one in PROJECT["optional-dependencies"]["dev"]} <= set(dev)
    assert {name: str(dev[name][0]) for name in run} == {
        name: str(requirement) for name, (requirement, _) in run.items()
    }


def test_versions_are_those_of_the_constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    wanted = {canonicalize_name(one.name): one for one in map(Requirement, filter(lambda x: x[:1] not in "#", lines))}
    found = locked(*FILES[:2], "torch.txt")
    assert set(found) & set(wanted)
    for name in set(found) & set(wanted):
        assert found[name][0].specifier == wanted[name].specifier, "make lock"


def test_the_build_of_torch_for_cpus_has_the_version_of_the_other():
    (cpu,) = locked("torch-cpu.txt").values()
    (version,) = cpu[0].specifier
    assert f"=={version.version.removesuffix('+cpu')}" == str(locked("torch.txt")["torch"][0].specifier)

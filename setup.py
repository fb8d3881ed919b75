"""Compile the kernels where there is a C compiler; without one they run as plain Python, slower.

KINGSLAYER_REQUIRE_NATIVE=1   a kernel that does not compile is an error (CI)
KINGSLAYER_CHECKED_KERNELS=1  bounds are checked and integer division is Python's: for tests, about a quarter slower

Everything else about the package is in pyproject.toml.
"""

import hashlib
import os
import sys
from pathlib import Path

from setuptools import Extension, setup

FOLDERS = (Path("checkers/_kernels"), Path("harness/_kernels"))
PLAIN = {"__init__", "plain_bits"}
REQUIRED = os.environ.get("KINGSLAYER_REQUIRE_NATIVE") == "1"
CHECKED = os.environ.get("KINGSLAYER_CHECKED_KERNELS") == "1"


def kernels():
    """Return the extensions to build: without those on which Cython fails."""
    made = []
    sources = [source for folder in FOLDERS for source in sorted(folder.glob("*.py")) if source.stem not in PLAIN]
    for source in sources:
        try:
            made += compiled_by_cython(source)
        except Exception as error:
            if REQUIRED:
                raise
            sys.stderr.write(f"kingslayer: {source} stays plain Python, and slow: {error}\n")
    return made


def compiled_by_cython(source):
    """Return the extension of one kernel, translated to C."""
    from Cython.Build import cythonize

    extension = Extension(
        ".".join(source.with_suffix("").parts),
        [str(source)],
        depends=[str(header) for header in source.parent.glob("*.pxd")],
        extra_compile_args=["-O2", "-g0", "-w"],
        extra_link_args=["-Wl,-s", f"-Wl,--build-id=0x{stamp(source)}"] if sys.platform == "linux" else [],
    )
    made = cythonize(
        [extension],
        build_dir="build/checked" if CHECKED else "build/cython",
        language_level=3,
        force=drop_stale(source),
        compiler_directives={"boundscheck": CHECKED, "wraparound": False, "cdivision": not CHECKED},
    )
    for each in made:
        each.optional = not REQUIRED  # cythonize drops it
    return made


def drop_stale(source):
    """Remove what was compiled from other sources, also where no file is newer; say whether something was."""
    name = f"{source.stem}.*.so"
    found = [*source.parent.glob(name), *Path("build").glob(f"lib*/{source.parent}/{name}")]
    stale = [path for path in found if bytes.fromhex(stamp(source)) not in path.read_bytes()]
    for path in stale:
        path.unlink()
    return bool(stale)


def stamp(source):
    """Return the hash of a kernel's sources and build, which tests/conftest.py looks for in the compiled file."""
    parts = [source, *sorted(source.parent.glob("*.pxd"))]
    data = b"checked" * CHECKED + b"".join(part.read_bytes() for part in parts)
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


setup(ext_modules=kernels(), options={"build_ext": {"parallel": os.cpu_count()}})

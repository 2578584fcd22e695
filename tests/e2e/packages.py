"""Deployment packages made in memory."""

import io
import textwrap
import zipfile


def package(files, modes=None, level=None):
    """A zip of the files by name; `modes` gives Unix permissions where they are not 0644, `level` how hard to compress."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=(2024, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (modes or {}).get(name, 0o644) << 16
            archive.writestr(entry, content, compresslevel=level)
    return buffer.getvalue()


def python(code):
    """A package whose module `index` is the given text."""
    return package({"index.py": textwrap.dedent(code)})


def node(code, name="index.mjs"):
    return package({name: textwrap.dedent(code)})


def bootstrap(code):
    """A package for `provided.*`: the program that Lambda starts."""
    return package({"bootstrap": textwrap.dedent(code)}, {"bootstrap": 0o755})

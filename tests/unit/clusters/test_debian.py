"""Finding the mirror that the host's apt uses, in both of its formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from clusters.debian import Mirror, find_mirror

DEB822 = """# made by the installer
Types: deb
URIs: http://security.invalid/debian-security
Suites: bookworm-security
Components: main
Signed-By: /keys/security.gpg

Types: deb deb-src
# a comment
URIs: http://mirror.invalid/debian
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By: /keys/archive.gpg
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("sources.list.d/debian.sources", DEB822, Mirror("http://mirror.invalid/debian", "/keys/archive.gpg")),
        (
            "sources.list",
            "deb http://mirror.invalid/debian bookworm main\n",
            Mirror("http://mirror.invalid/debian", ""),
        ),
        (
            "sources.list.d/x.list",
            "# deb http://old.invalid/debian sid main\n"
            "deb-src http://src.invalid/debian sid main\n"
            "deb [arch=amd64 signed-by=/k.gpg] https://mirror.invalid/debian trixie contrib main # ours\n",
            Mirror("https://mirror.invalid/debian", "/k.gpg"),
        ),
        ("sources.list", "deb http://other.invalid/ubuntu noble main\n", None),
        ("sources.list", "deb http://tools.invalid/apt stable\n", None),
        ("sources.list.d/debian.sources", DEB822.replace("Types: deb ", "Enabled: no\nTypes: deb "), None),
        ("sources.list.d/ignored.txt", "deb http://mirror.invalid/debian sid main\n", None),
    ],
)
def test_the_mirror_of_the_archive_is_found(tmp_path: Path, name: str, text: str, expected: Mirror | None) -> None:
    """The entry with a suite of Debian itself is taken; security, other distributions and disabled ones are not."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert find_mirror(tmp_path) == expected


def test_a_host_without_apt_has_no_mirror(tmp_path: Path) -> None:
    """A folder that is not there is no error."""
    assert find_mirror(tmp_path / "missing") is None

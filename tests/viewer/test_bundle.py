"""The committed bundle matches its sources."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import vidpose.viewer

ROOM = Path(vidpose.viewer.__file__).parent
INPUTS = ("build.mjs", "package-lock.json", "package.json", "tsconfig.json")


def test_the_bundle_belongs_to_the_sources() -> None:
    web = ROOM / "web"
    names = sorted((*INPUTS, *(f"src/{path.name}" for path in (web / "src").iterdir())))
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\n".encode())
        digest.update((web / name).read_bytes())
    bundle = (ROOM / "assets" / "player.js").read_text(encoding="utf-8")
    (recorded,) = re.findall(r"^Sources: ([0-9a-f]{64})$", bundle, re.MULTILINE)
    assert recorded == digest.hexdigest(), "run `make viewer` after a change to viewer/web"


def test_the_bundle_has_the_licences_of_what_is_in_it() -> None:
    bundle = (ROOM / "assets" / "player.js").read_text(encoding="utf-8")
    banner = bundle[: bundle.index("*/")]
    assert "three.js authors" in banner
    assert "Leon Sorokin" in banner
    assert banner.count("Permission is hereby granted, free of charge") == 2


def test_no_script_of_the_bundle_ends_the_page() -> None:
    bundle = (ROOM / "assets" / "player.js").read_text(encoding="utf-8")
    style = (ROOM / "assets" / "player.css").read_text(encoding="utf-8")
    assert "</script" not in bundle.lower()
    assert "<!--" not in bundle
    assert "</style" not in style.lower()

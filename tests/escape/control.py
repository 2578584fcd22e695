"""Runs one attempt on the host itself, in namespaces that keep the host from harm: `control.py MODULE NAME < EVENT`."""

import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "attempts"))


def main():
    module, name = sys.argv[1:]
    handler = getattr(importlib.import_module(module), name)
    print(json.dumps(handler(json.load(sys.stdin))))


if __name__ == "__main__":
    main()

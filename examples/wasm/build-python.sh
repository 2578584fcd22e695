#!/bin/sh
# Makes app.wasm of python/app.py in the folder that is given: with pip, and a minute or two.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
python3 -m venv "$out/tools"
"$out/tools/bin/pip" install --quiet --requirement "$here/python/requirements.txt"
cd "$here/python"
"$out/tools/bin/componentize-py" -d "$here/../../crates/compute/wasm/wit" -w function componentize app -o "$out/app.wasm"

#!/bin/sh
# Makes app.wasm of javascript/app.js in the folder that is given: with npm, and some minutes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
cp "$here/javascript/app.js" "$here/javascript/package.json" "$out"
cd "$out"
npm install --no-audit --no-fund --silent
npx --no-install componentize-js app.js --wit "$here/../../crates/compute/wasm/wit" --world-name function --out app.wasm

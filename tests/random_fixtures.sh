#!/bin/bash
# The conformance program on values of PyTorch in random shapes: it must not depend on the fixtures it was written with.
# Needs a python3 that has PyTorch.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for python in python3 /usr/bin/python3; do
    command -v "$python" >/dev/null && "$python" -c 'import numpy, torch' 2>/dev/null && break
    python=
done
[[ $python ]] || { echo "skipped: no python3 with PyTorch"; exit 77; }
"$python" "$TL_SOURCE/tests/make_fixtures.py" "$work" 1 2 3
"$TL_BUILD/tests/conformance" "$work"/*/

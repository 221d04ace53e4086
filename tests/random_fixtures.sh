#!/bin/bash
# The conformance program on values in random shapes and combinations of options: it must not depend on the fixtures
# that it was written with. Needs a python3 that has PyTorch; for texts any python3 will do.
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fixtures=${TL_FIXTURES:-$TL_SOURCE/../shared/fixtures}
texts=$TL_SOURCE/tests/make_text_fixtures.py
[[ ! -e $fixtures/keras_text_open.json ]] || python3 "$texts" --check "$fixtures/keras_text_open.json"
python3 "$texts" "$work" {1..20}
"$TL_BUILD/tests/conformance" "$work"/text_*.json
for python in python3 /usr/bin/python3; do
    command -v "$python" >/dev/null && "$python" -c 'import numpy, torch' 2>/dev/null && break
    python=
done
[[ $python ]] || { echo "skipped: no python3 with PyTorch"; exit 77; }
keras=$TL_SOURCE/tests/make_keras_fixtures.py
open=$fixtures/keras_oracle_open
metrics=$TL_SOURCE/tests/make_metric_fixtures.py
trainings=$TL_SOURCE/tests/make_training_fixtures.py
if [[ -d $open ]]; then # Keras' own numbers first: are the layers of that file the same?
    "$python" "$keras" --check "$open"
    "$python" "$metrics" --check "$open"
    "$python" "$trainings" --check "$open"
else
    echo "not compared with Keras: there is no $open"
fi
"$python" "$keras" "$work" 1 2
"$python" "$metrics" "$work" 1 2
"$python" "$trainings" "$work" 1 2
"$python" "$TL_SOURCE/tests/make_torch_fixtures.py" "$work" 1 2
"$TL_BUILD/tests/conformance" "$work"/*/

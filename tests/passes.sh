#!/bin/sh
# tests/passes.sh: in exact mode every example learns the same, to the last digit, with all passes of the compiler and without
# any. What differs at all in one step differs in the figures after hundreds.
set -u
[ -x "$TL_BUILD/examples/char_rnn" ] || { echo "skipped: the examples were not built"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
# The proof of plans is made elsewhere, and takes longer than the examples.
export TL_EXACT=1 TL_CHECK=0
failures=0
for i in 1 2 3 4 5 6 7 8 9; do printf 'It was the best of times, it was the worst of times. (%s)\n' $i; done >text

# figures PASSES FILE COMMAND...: what it prints and writes, but for how long that took. Lines of progress come by the clock.
figures() {
    passes=$1 file=$2
    shift 2
    rm -f figures.json
    TL_PASSES=$passes "$@" --json figures.json >printed 2>&1 || { echo "FAILED: TL_PASSES=$passes $*"; failures=$((failures + 1)); }
    cat printed figures.json | grep -vE '"(seconds|[a-z]*_per_s)"|[0-9] %.*[a-z]+/s' | sed -E 's|[0-9.]+ s  [0-9.]+[kM]? [a-z]+/s||; s|[0-9.]+ s\b||' >"$file"
}

same() {
    figures '' with "$@"
    figures -all without "$@"
    cmp -s with without && [ -s with ] && return
    echo "FAILED: $*: other figures without passes:"
    diff without with | head -n 20
    failures=$((failures + 1))
}

for source in "$TL_SOURCE"/examples/gallery/*.c; do
    grep -q '^int main' "$source" || continue
    program=${source#"$TL_SOURCE"/}
    same "$TL_BUILD/${program%.c}"
done
same "$TL_BUILD/examples/custom_cell" --length 8 --batch 4 --units 20 --steps 60
for cell in rnn lstm gru mgu; do
    same "$TL_BUILD/examples/char_rnn" --text text --cell $cell --layers 2 --dropout 0.1 --units 40 --epochs 3 --length 20
done
[ $failures = 0 ] && echo "the same figures"
exit $((failures > 0))

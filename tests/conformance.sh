#!/bin/bash
# What the conformance program says of folders and files that are not as they should be, and of numbers that are not finite.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0

# expect STATUS TEXT NAME [OPTION...]: the folder NAME gives that exit status, and TEXT is in what is printed
expect() {
    local status=$1 text=$2 name=$3 got=0
    shift 3
    "$TL_BUILD/tests/conformance" "$@" "$name" >out 2>&1 || got=$?
    grep -qF -- "$text" out && [[ $got == "$status" ]] && return
    echo "$name: status $got instead of $status, or not \"$text\":"
    cat out
    failed=1
}

# folder NAME: six numbers and an index that is empty, to which "line" adds
folder() {
    mkdir -p "$1"
    {
        printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\360\177\0\0\0\0\0\0\370\177' # 0, infinity, NaN
        printf '\0\0\0\0\0\0\360\77\0\0\0\0\0\0\360\377\234\165\0\210\74\344\67\176' # 1, -infinity, 1e300
    } >"$1/fixtures.safetensors"
    : >"$1/cases.tsv"
    index=$1/cases.tsv
}
line() { local IFS=$'\t'; echo "$*" >>"$index"; }
tensor() { line tensor "$1" "$2" f8 1 "$3" "$4" "$3"; } # ROLE NAME COUNT OFFSET

# x = 0, infinity, NaN, as its square is
square() { line case squares ew_square "${1:-core}"; tensor in x 3 0; }

folder right; square; tensor out y 3 0; line end
expect 0 '1 passed' right/
expect 0 '1 passed' right -k 'ew_*'
expect 2 'no such case' right -k nothing
sed 's/$/\r/' right/cases.tsv >lines; folder windows; cp lines windows/cases.tsv
expect 0 '1 passed' windows
folder nan; square; tensor out y 3 24; line end
expect 1 'expected -inf' nan
folder infinite; square; tensor out y 3 0; tensor cot y 3 24; tensor gin x 3 0; line end
expect 1 'expected inf' infinite
folder large; line case sizes ew_abs core; tensor in x 1 40; tensor out y 1 40; line end # in f32 infinite
expect 0 '1 passed' large
folder input; line case squares ew_square core; tensor out y 3 0; line end
expect 1 'FAIL' input
folder result; square; line end
expect 1 'nothing is expected' result
folder other; square; tensor out y 3 0; tensor out z 3 0; line end
expect 1 'out.z is compared with nothing' other
folder spare; square; tensor in mask 3 0; tensor out y 3 0; line end
expect 1 'in.mask is used by nothing' spare
folder shape; square; tensor out y 2 0; line end
expect 1 'another shape' shape
folder cotangent; square; tensor out y 3 0; tensor cot y 1 24; line end
expect 1 'cot.y does not have the shape' cotangent
folder gradient; square; tensor out y 3 0; tensor gin z 3 0; line end
expect 1 'gin.z does not have the shape' gradient
folder unknown; line case odd odd_op core; line end
expect 1 'no such op' unknown
folder optional; line case odd odd_op optional; line end
expect 0 '1 skipped' optional
folder outside; square; tensor out y 9 0; line end
expect 2 'line 3' outside
folder open; square
expect 2 'no "end"' open
folder empty
expect 2 'there are no cases' empty
expect 2 'No such file' absent

# the same of files of JSON: what is between the braces
json() { echo "{\"texts\": [\"a a b\"], \"new_texts\": [\"b c\"], $1}" >file.json; }
json '"word_sequence": [{"text": "a b", "out": ["a", "b"]}, {"text": "A", "out": ["a"]}], "note": "any"'
expect 0 '2 passed' file.json
expect 0 '2 passed' right -k 'word_*' file.json
expect 0 '1 passed' file.json -k '*1]'
json '"word_sequence": {"text": "a b", "out": ["a"]}'
expect 1 'another number of texts' file.json
json '"word_sequence": {"text": "a b", "out": ["a", "c"]}'
expect 1 "'b', expected 'c'" file.json
json '"pad_sequences": {"sequences": [[1], []], "args": {"maxlen": 2}, "out": [[0, 1], [0, 1]]}'
expect 1 'padded[3] is 0, expected 1' file.json
json '"pad_sequences": {"sequences": [[1], []], "args": {"maxlen": 2}, "out": [[0, 1, 0], [0, 0, 0]]}'
expect 1 'axis 1 has 2 elements, expected 3' file.json
json '"to_categorical": {"y": [0], "out": [[[1]]]}'
expect 1 'its rank is not 2' file.json
json '"to_categorical": {"y": [0, -1], "out": [[1], [1]]}'
expect 1 'which is no class' file.json
json '"tokenizer": {"args": {"analyzer": 1}}'
expect 1 'not known here: analyzer' file.json
json '"tokenizer": {"args": {}, "word_index": {"a": 1, "b": 2}, "word_counts": {"a": 2, "b": 2}}'
expect 1 "word_counts of 'b' is 1, expected 2" file.json
json '"others": {"a": 1}'
expect 1 'no such op' file.json
json '"hashing_trick": {"text": "a"}'
expect 0 '1 skipped' file.json
json '"open": '
expect 2 'file.json:1' file.json
echo '[]' >file.json
expect 2 'no object' file.json
exit $failed

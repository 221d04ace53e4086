#!/bin/sh
# tests/examples.sh: the example programs cope with any text, and say what is wrong with the rest (exit status 2).
set -u
char_rnn=$TL_BUILD/examples/char_rnn
custom_cell=$TL_BUILD/examples/custom_cell
[ -x "$char_rnn" ] && [ -x "$custom_cell" ] || { echo "skipped: the examples were not built"; exit 77; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0

# expect STATUS WORDS COMMAND...: exit status, and words in what is printed.
expect() {
    status=$1 words=$2
    shift 2
    "$@" >out 2>&1
    got=$?
    [ $got = "$status" ] && grep -qaF -e "$words" out && return
    echo "FAILED: $*: exit status $got, not $status, or no '$words' in:"
    head -n 20 out
    failures=$((failures + 1))
}

# has FILE WORDS: else it failed.
has() { grep -qaF -e "$2" "$1" || { echo "FAILED: no '$2' in $1"; failures=$((failures + 1)); }; }

# value FILE NAME: a figure. above, below FILE NAME LIMIT: else it failed.
value() { sed -n "s/^ *\"$2\": \([^,]*\),*\$/\1/p" "$1"; }
above() {
    awk "BEGIN { exit !(\"$(value "$1" "$2")\" + 0 > $3) }" ||
        { echo "FAILED: $2 is $(value "$1" "$2"), not above $3"; failures=$((failures + 1)); }
}
below() {
    awk "BEGIN { exit !(\"$(value "$1" "$2")\" != \"\" && \"$(value "$1" "$2")\" + 0 < $3) }" ||
        { echo "FAILED: $2 is $(value "$1" "$2"), not below $3"; failures=$((failures + 1)); }
}

learn() { "$char_rnn" --units 6 --embedding 4 --epochs 2 --length 10 "$@"; }

: >empty
printf '\357\273\277' >mark
printf 'ab' >two
printf 'abcdefghij' >ten
{ cat mark; printf 'caf\303\251\r\nna\303\257ve\r\n%.0s' 1 2 3 4 5 6 7 8 9; } >crlf
{ printf '\377\000\200\r\n'; cat crlf; } >bytes
mkdir folder

expect 2 'empty: there is no text in it' learn --text empty
expect 2 'mark: there is no text in it' learn --text mark
expect 2 'two: a text of 2 characters is too short' learn --text two
expect 2 'none: No such file or directory' learn --text none
expect 2 'Is a directory' learn --text folder
expect 0 'heldout_loss' learn --text ten
expect 0 'crlf: 99 characters, 9 of them held out; 9 different ones' learn --text crlf
expect 0 '(bytes: not UTF-8)' learn --text bytes
for cell in rnn lstm gru mgu; do expect 0 "${cell}1/" learn --text crlf --cell $cell --layers 2 --dropout 0.1; done

expect 0 '--temperature X' "$char_rnn" --help
expect 2 "--cell is one of rnn|lstm|gru|mgu, not 'tcn'" learn --cell tcn
expect 2 '--units takes a number from 1' learn --units 0
expect 2 "--units takes a whole number, not '3.5'" learn --units 3.5
expect 2 "--lr takes a number, not 'fast'" learn --lr fast
expect 2 'try --help' learn --bogus
expect 2 "'more' is not an option" learn more
expect 2 'requires an argument' learn --units
expect 2 'no/such: No such file or directory' learn --text crlf --json no/such
expect 2 'no/such: No such file or directory' learn --text crlf --save no/such
expect 2 'folder: Is a directory' learn --text crlf --save folder
expect 2 "the vocabulary has no 'x'" learn --text crlf --prompt x
expect 2 'at least one character' learn --text crlf --prompt ''

# What is saved comes back: the same held-out loss, and the same figures under their names.
expect 0 'heldout_loss' learn --text crlf --cell gru --save model --json first.json
expect 0 'heldout_loss' "$char_rnn" --load model --text crlf --epochs 0 --json second.json
for name in heldout_loss perplexity loss seconds tokens_per_s parameters epochs cell; do
    has first.json "\"$name\": "
done
grep heldout_loss first.json >a
grep heldout_loss second.json >b
cmp a b || failures=$((failures + 1))
expect 0 'caf' "$char_rnn" --load model --text none --epochs 0 --prompt caf --length 5
expect 2 'two: shorter than' learn --text crlf --load two
expect 2 "the vocabulary has no 'b'" learn --text ten --load model
expect 0 'heldout_loss' learn --text crlf --load model

# Every example says what the compiler made of its model; the plan is drawn.
for source in "$TL_SOURCE"/examples/*.c "$TL_SOURCE"/examples/gallery/*.c; do
    grep -q '^int main' "$source" || continue
    program=${source#"$TL_SOURCE"/}
    program=$TL_BUILD/${program%.c}
    case $program in
    */char_rnn) program="$program --text $dir/crlf --epochs 1" ;;
    */topologies) program="$program --steps 1" ;;
    */vanishing) program="$program --length 5 --updates 1" ;;
    */sentiment) program="$program --epochs 1" ;;
    esac
    $program --explain 2>&1 | grep -qE '^plan: [1-9][0-9]* instructions \([1-9][0-9]* kernels\) for [1-9]' ||
        { echo "FAILED: $program --explain tells nothing"; failures=$((failures + 1)); }
done
expect 0 'done:' learn --text crlf --units 16 --explain
has out 'left as it was'
expect 0 'heldout_loss' learn --text crlf --plan plan.dot
has plan.dot 'digraph plan {'
has plan.dot 'gradient of lstm0'
expect 2 'no/such.dot: No such file' learn --text crlf --plan no/such.dot
mkdir without with
expect 2 'Graphviz (its program dot) is not installed' env PATH="$dir/without" "$char_rnn" --text crlf --plan 'a plan.svg'
printf '#!/bin/sh\n[ "$1 $2" = "-Tsvg -o" ] && { echo "<svg>"; cat; } >"$3"\n' >with/dot
chmod +x with/dot
expect 0 'heldout_loss' env PATH="$dir/with:$PATH" "$char_rnn" --text crlf --epochs 1 --length 5 --plan "a plan's.svg"
has "a plan's.svg" '<svg>'
has "a plan's.svg" 'digraph plan {'
printf '#!/bin/sh\nexit 3\n' >with/dot
expect 1 'Graphviz failed' env PATH="$dir/with:$PATH" "$char_rnn" --text crlf --epochs 1 --length 5 --plan plan.svg

# Reviews: sentences of its own, where "not" turns a word around; the network and its words, saved and loaded, judge the same.
sentiment=$TL_BUILD/examples/sentiment
expect 0 'Positive sentiment' "$sentiment" --epochs 2 --bidirectional --text 'the plot was not bad' --save judge \
    --plot judge.svg --json judge.json
has judge.json '"test_accuracy": 1'
has judge.svg '>validation</text>'
grep Positive out >a
expect 0 'Positive sentiment' "$sentiment" --load judge --text 'the plot was not bad'
grep Positive out | cmp - a || failures=$((failures + 1))
grep -q Epoch out && { echo "FAILED: sentiment --load learns"; failures=$((failures + 1)); }
expect 0 'Negative sentiment' "$sentiment" --load judge --text 'The plot was NOT good!'
expect 0 'sentiment (0.' "$sentiment" --load judge --text ''
for i in 1 2 3 4 5 6 7 8 9 10; do printf '1\tso good, film %s\r\n0\tso bad, film %s\r\n' $i $i; done >films.tsv
gzip -c films.tsv >films.tsv.gz
films() { "$sentiment" --train films.tsv --epochs 20 --lr 0.01 --decay 1 --patience 20 "$@"; }
for option in '--cell rnn' '--cell lstm --pool last' '--cell gru --pool last --bidirectional'; do
    expect 0 'test_accuracy 1.0000' films --test films.tsv.gz $option
done
expect 0 'films.tsv.gz: 20 reviews, 10 of them for the film' "$sentiment" --load judge --test films.tsv.gz
expect 0 ' Total params: 3,206,273' "$sentiment" --train films.tsv --test films.tsv.gz --model notebook --epochs 1
has out '  above 100                          20    0.5000'
printf '1\tgood\n2\tbad\n' >wrong.tsv
printf '1\tgood\n' >one.tsv
expect 2 'wrong.tsv: line 2: the label is neither 0 nor 1' films --train wrong.tsv
expect 2 'two' films --train two
expect 2 'empty' films --test empty
expect 2 'none: No such file or directory' films --test none
expect 2 'one.tsv: one review is too little' films --train one.tsv
expect 2 'two: ' "$sentiment" --load two --text good
expect 2 'model: not a network of this program' "$sentiment" --load model --text good
expect 2 '--load: what for?' "$sentiment" --load judge
expect 2 'nothing is learned' "$sentiment" --load judge --train films.tsv
expect 2 '--test needs --train' "$sentiment" --test films.tsv

tiny="--length 6 --batch 4 --units 3 --steps 4"
expect 0 'gradient check of surprise: passed' "$custom_cell" $tiny --json cell.json
has cell.json '"lstm_loss": '
expect 2 '--length takes a number from 2' "$custom_cell" --length 1

# The numbers that NumPy printed, to their last digit, and where the training ends (the mean squared error there moves by
# some 1e-7 with the last bit of tanh).
numpy_rnn=$TL_BUILD/examples/numpy_rnn
expect 0 '    0.95516432   -0.99182894   -0.03554066   -0.99213409   -0.12484929' "$numpy_rnn" --json numpy.json
has out '    1.95410691   -1.22828410'
for line in 'Epoch 0, Loss: 5.5586' 'Epoch 70, Loss: 0.1678' 'Epoch 80, Loss: 0.1156' 'Epoch 100, Loss: 0.1353' \
    'Epoch 200, Loss: 0.0142'; do has out "$line"; done
has out '    0.10300916    0.03630028   -0.49784764   -0.19816366   -0.08696417'
has out '    0.77549715    0.06708220   -0.65920812   -0.39389873   -0.67070856'
has numpy.json '"final_mse": 0.012394'

# "hello world": what the notebook prints; its network, saved and loaded, writes the same; each option learns.
hello=$TL_BUILD/examples/hello_rnn
expect 0 "Vocabulary: [' ', 'd', 'e', 'h', 'l', 'o', 'r', 'w']" "$hello" --epochs 200 --save hello --plot hello.svg \
    --json hello.json
for line in "{' ': 0, 'd': 1, 'e': 2, 'h': 3, 'l': 4, 'o': 5, 'r': 6, 'w': 7}" 'Sequences: [[3 2 4 4 5]' ' [0 7 5 6 4]]' \
    ' Total params: 600 (2.34 KB)' 'Epoch 200/200' "'ello' -> ' '" '6 of 6 windows right'; do has out "$line"; done
for line in '"right": 6' '"accuracy": 1' '"generated": "hello '; do has hello.json "$line"; done
has hello.svg '>accuracy</text>'
has hello.svg '>loss</text>'
grep Generated out >a
expect 0 'Generated Text: hello ' "$hello" --load hello
grep Generated out | cmp - a || failures=$((failures + 1))
grep -q Epoch out && { echo "FAILED: hello_rnn --load learns"; failures=$((failures + 1)); }
for seed in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    expect 0 '6 of 6 windows right' "$hello" --epochs 200 --seed $seed
    for option in '--cell lstm --epochs 400' '--cell gru' --bidirectional --attention '--dropout 0.2' '--clip 1'; do
        [ $seed -le 2 ] && expect 0 '6 of 6 windows right' "$hello" --epochs 200 $option --seed $seed
    done
done
# Once the prompt is over, each character follows from the one before alone.
written=$(sed -n 's/.*"generated": "\(.*\)",/\1/p' hello.json)
for i in 6 7 8 9; do
    pair=$(printf '%s' "$written" | cut -c$i-$((i + 1)))
    expect 0 "Generated Text: $pair" "$hello" --load hello --prompt "${pair%?}" --length 1
done
expect 0 ' - perplexity: ' "$hello" --perplexity --cell gru --bidirectional --attention --dropout 0.1 --clip 1 --save all \
    --json all.json
for line in 'dropout (Dropout)' 'bidirectional (Bidirectional)' 'attention (Attention)'; do has out "$line"; done
has all.json '"network": "gru, bidirectional, attention"'
has all.json '"perplexity": '
expect 0 'Generated Text: low' "$hello" --load all --prompt low
expect 2 "--prompt: the vocabulary has no 'x'" "$hello" --epochs 1 --prompt lox
expect 2 '--prompt: at least one character' "$hello" --epochs 1 --prompt ''
expect 2 'crlf: ' "$hello" --load crlf
expect 2 'model: not a network of this program' "$hello" --load model
expect 2 '--load learns nothing' "$hello" --load hello --plot again.svg
expect 2 "--plot takes a name that ends in .svg or .png, not 'curves'" "$hello" --plot curves
expect 2 'gnuplot is not installed' env PATH="$dir/without" "$hello" --plot curves.png

# Questions and answers: the notebook's words and numbers, five right of five, and an answer.
ask=$TL_BUILD/examples/question_answer
expect 0 "{'what': 1, 'is': 2, 'your': 3, 'you': 4, 'name': 5, 'how': 6, 'are': 7, 'profession': 8, 'where': 9, 'do': 10, 'live': 11, 'favorite': 12, 'color': 13}" \
    "$ask" --save answers --plot answers.svg --json answers.json
for line in 'Sequences: [[1, 2, 3, 5], [6, 7, 4], [1, 2, 3, 8], [9, 10, 4, 11], [1, 2, 3, 12, 13]]' ' [[ 0  1  2  3  5]' \
    ' [ 0  9 10  4 11]' ' [ 1  2  3 12 13]]' ' [0 1 0 2 3]' ' Total params: 2,804 (10.95 KB)' 'Epoch 100/100' 'Epoch 20/20' \
    'How are you? Predicted Answer, raw ids: 1' 'How are you? Predicted Answer, embedding: 1' \
    'Embedded: shape (2, 4, 10)' 'The first 3 rows are equal'; do has out "$line"; done
has answers.json '"embedding_answer": 1'
has answers.svg '>raw ids</text>'
has answers.svg '>embedding</text>'
expect 0 'Predicted Answer, embedding: 2' "$ask" --load answers --question 'where DO you live'
grep -q Epoch out && { echo "FAILED: question_answer --load learns"; failures=$((failures + 1)); }
for seed in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    expect 0 'Model Accuracy, raw ids, 100 epochs: 1.0000' "$ask" --seed $seed
    has out 'Model Accuracy, embedding, 20 epochs: 1.0000'
done
expect 2 'none of its words has been learned' "$ask" --load answers --question 'Why?'
expect 2 'hello: not a network of this program' "$ask" --load hello
expect 2 '--load learns nothing' "$ask" --load answers --save again
# char_rnn --notebook: the text as it is cleaned, the figures, a hundred characters behind each beginning of ten, the
# network as it was saved, and on the text of the notebook the loss that the same model has in PyTorch (2.344 on average
# after the first iteration; what seeds do is less than 1 %, so 2 % is ample).
windows() { "$char_rnn" --notebook --units 6 --batch 4 "$@"; }
# written FILE: the text in it that was generated last.
written() { grep -A1 'Generating from seed: ' "$1" | tail -n 1; }
printf 'The SKY\r\n\n \t was\303\251 falling  \n' >sky
expect 0 'sky: 19 characters, 14 different ones; 9 windows' windows --text sky --epochs 2 --save sky.net --json sky.json
has sky.json '"loss_1": '
[ "$(grep -c 'Generating from seed: ' out)" = 2 ] && [ "$(written out | wc -c)" = 111 ] ||
    { echo "FAILED: not 110 characters"; failures=$((failures + 1)); }
expect 0 '3/3' windows --text sky --epochs 1 --save sky.net
written out >a
expect 0 'Generating' "$char_rnn" --notebook --text sky --epochs 0 --load sky.net
written out | cmp a - || failures=$((failures + 1))
for i in 1 2 3 4 5 6 7 8 9 10; do printf 'abcdefgh'; done >round
expect 0 'Epoch 60/60' windows --text round --epochs 60 --units 16
case abcdefghabcdefghabcdefgh in *"$(written out | cut -c 95-110)"*) ;; *)
    echo "FAILED: $(written out)"; failures=$((failures + 1)) ;;
esac
expect 2 'two: nothing follows ten characters' windows --text two
expect 2 'none: No such file' windows --text none
expect 2 "--units takes a number from 1" windows --units 0
expect 2 'model: not a network of this program' windows --text sky --load model
expect 2 'is to be written out' "$char_rnn" --note --text sky
alice=$TL_SOURCE/../shared/data/alice/wonderland.txt
if [ -r "$alice" ]; then
    expect 0 'Total params: 30,904' "$char_rnn" --notebook --text "$alice" --epochs 1 --json alice.json
    above alice.json loss_0 2.297
    below alice.json loss_0 2.391
else
    echo "skipped: the notebook's text is not at $alice"
fi

torch_loop=$TL_BUILD/examples/torch_loop
expect 0 'Epoch [20/20], Loss: ' "$torch_loop" --json loop.json --save loop.net --plot loop.svg
has out 'Total params: 3,355'
has out 'Total params: 3,805'
has loop.svg '<svg'
for name in torch_loss keras_loss; do below loop.json $name 1.5; done
expect 0 'Epoch [5/5]' "$torch_loop" --epochs 5 --load loop.net --json more.json
for name in torch_loss keras_loss; do below more.json $name "$(value loop.json $name)"; done
expect 2 'model: not the networks of this program' "$torch_loop" --load model

topologies=$TL_BUILD/examples/topologies
expect 0 'synced: ' "$topologies" --json shapes.json --save shapes.net --plot shapes.svg
has shapes.svg 'many-to-many'
for name in one-to-one one-to-many many-to-one many-to-many synced; do above shapes.json $name 0.9; done
expect 0 'one-to-many: ' "$topologies" --task one-to-many --steps 0 --load shapes.net --json loaded.json
[ "$(value loaded.json one-to-many)" = "$(value shapes.json one-to-many)" ] ||
    { echo "FAILED: loaded networks answer otherwise"; failures=$((failures + 1)); }
expect 2 'model: no network for synced in it' "$topologies" --task synced --load model
expect 2 '--task is one of' "$topologies" --task all-to-all

# A gradient that explodes, the same clipped, one that vanishes; and what becomes of training.
vanishing=$TL_BUILD/examples/vanishing
expect 0 'SimpleRNN, relu' "$vanishing" --length 40 --updates 3 --json way.json --plot way.svg
has way.svg 'orthogonal'
above way.json relu_plain 1000
below way.json relu_clipped 1.01
below way.json relu_orthogonal 0.001
below way.json relu_clipped_loss 10
has way.json '"relu_unclipped_loss": null'
expect 2 '--length takes a number from 2 to 500' "$vanishing" --length 501
[ $failures = 0 ] && echo "all as expected"
exit $((failures > 0))

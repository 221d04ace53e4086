#!/bin/sh
# Every installed header compiles alone, as C11 and as C++17, without a warning; and so do calls with and without options.
cd "${TL_SOURCE:-$(dirname "$0")/..}" || exit 1
cc=${CC:-cc}
cxx=
for c in "$CXX" c++ g++ clang++; do
    [ -n "$c" ] && command -v "$c" >/dev/null && cxx=$c && break
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# compile LANGUAGE FILE WHAT
compile() {
    case $1 in
        c) set -- "$2" "$3" "$cc" -std=c11 -x c ;;
        c++) [ -z "$cxx" ] && return
             set -- "$2" "$3" "$cxx" -std=c++17 -x c++ ;;
    esac
    file=$1 what=$2
    shift 2
    if "$@" -Wall -Wextra -Wpedantic -Wshadow -Werror -I. -fsyntax-only "$file"; then return; fi
    echo "$what: $*"
    failed=1
}

headers=tapeloop.h
for room in graph ops layers optim data train; do
    for h in $(sed -n "s/^install_headers(\(.*\)subdir.*/\1/p" $room/meson.build | tr -d "',"); do
        headers="$headers $room/$h"
    done
done
[ "$(echo "$headers" | wc -w)" -ge 7 ] || { echo "only these headers are installed: $headers"; failed=1; }

for h in $headers; do
    for language in c c++; do
        printf '#include "%s"\n#include "%s"\n' "$h" "$h" >"$work/header"
        compile $language "$work/header" "$h as $language"
    done
done

cat >"$work/use.c" <<'C'
#include "tapeloop.h"
tl_tensor network(tl_scope *s, const tl_tensor *in, void *user);
tl_tensor network(tl_scope *s, const tl_tensor *in, void *user)
{
    tl_tensor (*activation)(tl_tensor) = user ? tl_relu : tl_tanh;
    tl_tensor W = tl_param(s, "W", TL_DIMS(2, 3)), b = tl_param(tl_in(s, "x"), "b", TL_SCALAR, .frozen = true);
    tl_tensor sum = tl_sum(tl_mul(W, b), TL_ALL), mean = tl_mean(W, TL_AXES(0, -1)), g;
    tl_grad(sum, &W, 1, &g);
    tl_output(s, "g", tl_absent(g) ? TL_NONE : g);
    return tl_add(activation(tl_add(sum, mean)), tl_sum(tl_reshape(in[0], TL_DIMS(-1)), TL_ALL));
}
int main(void)
{
    tl_model *plain = tl_model_new(), *m = tl_model_new(.dtype = TL_F64, .seed = 3);
    tl_tape *t = tl_tape_new(m), *u = tl_tape_new(m, .training = true);
    tl_tensor in = tl_input(tl_root(t), "x", (tl_array){ .dtype = TL_F64, .rank = 1, .dim = { 2 } });
    network(tl_root(t), &in, (void *)0);
    tl_gradcheck_result r = tl_gradcheck(m, network, (void *)0, 0, (void *)0, .full = true);
    tl_sequences found;
    tl_beam_search(m, network, (void *)0, 0, (void *)0, &found, .beam = 2, .max_length = 3);
    tl_sample(m, network, (void *)0, 0, (void *)0, &found);
    tl_loader *loader;
    tl_dataset *data = tl_dataset_new(), *lines;
    tl_dataset_lengths(data, tl_dataset_ids(data, (void *)0));
    tl_dataset_rows(data, TL_ABSENT_ARRAY, .copy = true);
    tl_dataset_lines("", data, (tl_line_fn)0, &lines);
    tl_loader_new(data, &loader), tl_loader_new(data, &loader, .batch = 2);
    tl_ctc_loss(tl_root(u), in, TL_NONE, TL_NONE, TL_NONE);
    tl_add(tl_mse(in, in), tl_cross_entropy(in, TL_NONE, .weights = in, .ignore = TL_ZERO));
    tl_add(tl_triplet(in, in, in), tl_margin_ranking(in, in, in, .margin = 0.5));
    (void)u, (void)plain, (void)r, (void)tl_gradcheck(m, network, (void *)0, 0, (void *)0);
    return tl_failed(t);
}
C
cat >"$work/use.cc" <<'C'
#include "tapeloop.h"
int main()
{
    tl_model_opts mo = {};
    mo.size = sizeof mo;
    tl_model *m = tl_model_new_opt(&mo);
    tl_tape *t = tl_tape_new_opt(m, nullptr);
    tl_param_opts po = {};
    const int64_t dim[] = { 2, 3 };
    po.size = sizeof po, po.rank = 2, po.dim = dim;
    tl_tensor W = tl_param_opt(TL_HERE, tl_root(t), "W", &po), x = tl_tanh(tl_add(W, tl_scale(W, 2))), g;
    tl_grad(x, &W, 1, &g);
    const tl_tensor pair[] = { x, W };
    tl_output(tl_root(t), "loss", tl_loss_opt(TL_HERE, TL_LOSS_MSE, pair, nullptr));
    tl_output(tl_in(tl_root(t), "enc"), "g", tl_absent(g) ? TL_NONE : g);
    return tl_failed(t);
}
C
compile c "$work/use.c" "calls with and without options, as C"
compile c++ "$work/use.cc" "calls, as C++"

[ -n "$cxx" ] || echo "no C++ compiler: tried as C only"
exit $failed

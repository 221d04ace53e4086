#!/bin/sh
# tests/docs.sh: all C in README.md, CONTRIBUTING.md and docs/*.md compiles. A block that defines functions (a `{` alone at
# the beginning of a line) or includes a header is at file scope; any other block is a function's body, with the usual names at hand.
# The blocks of a page are one program, in order; it is run if it has a main(), and prints what the page's blocks of text say, if
# there are any, no more and no less.
cd "${TL_SOURCE:-$(dirname "$0")/..}" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0 pages=0 programs=0
build=$(cd "${TL_BUILD:-build}" && pwd) || exit 1
sanitize=
! nm -D "$build/libtapeloop.so" | grep -q __asan_init || sanitize=-fsanitize=address,undefined

for page in README.md CONTRIBUTING.md docs/*.md; do
    awk -v page="$page" '
        BEGIN {
            print "#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <tapeloop.h>"
            usual = "tl_scope *s, const tl_tensor *in, tl_tensor x, tl_tensor ids, tl_tensor mask, tl_tensor lengths, tl_cell cell, " \
                    "tl_model *model, tl_trainer *trainer, tl_array *batch, float *w[], int64_t T, int64_t B, int64_t D, int64_t H, int64_t V"
            split("s in x ids mask lengths cell model trainer batch w T B D H V", name, " ")
        }
        inside && /^```/ {
            inside = 0
            if (scope) {
                printf "#line %d \"%s\"\n%s", begin, page, text
            } else {
                printf "void body_%d(%s);\nvoid body_%d(%s)\n{\n", NR, usual, NR, usual
                for (i in name) printf "(void)%s;\n", name[i]
                printf "{\n#line %d \"%s\"\n%s}\n}\n", begin, page, text
            }
            next
        }
        inside { text = text $0 "\n"; if (/^[{]/ || /^#include/) scope = 1 }
        /^```c$/ { inside = 1; scope = 0; text = ""; begin = NR + 1 }
    ' "$page" >"$work/page.c"
    grep -q '^#line' "$work/page.c" || continue
    pages=$((pages + 1))
    compile="${CC:-cc} -std=gnu11 -Wall -Wextra -Wpedantic -Wno-unused-variable -Wno-unused-function -Wno-unused-but-set-variable -Werror -I."
    if ! grep -q '^int main(' "$work/page.c"; then
        $compile -fsyntax-only "$work/page.c" || { echo "$page: see above"; failed=1; }
        continue
    fi
    programs=$((programs + 1))
    $compile $sanitize "$work/page.c" -o "$work/page" -L"$build" -ltapeloop -lm -Wl,-rpath,"$build" &&
        (cd "$work" && ./page >page.log) || { cat "$work/page.log"; echo "$page: see above"; failed=1; }
    awk '/^```text$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$page" >"$work/said"
    [ ! -s "$work/said" ] || diff "$work/said" "$work/page.log" || { echo "$page: not what is printed (>)"; failed=1; }
done
[ $programs -ge 1 ] || { echo "no page with a program was found"; failed=1; }
[ $pages -ge 5 ] || { echo "only $pages pages with C were found"; failed=1; }
exit $failed

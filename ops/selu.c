/* ops/selu.c - y = 1.0507.. elu(x, 1.6732..), the two numbers of Klambauer et al. 2017; made of elu, derivative too. */
#include "ops/define.h"

TL_COMPOSED(selu,
            tl_scale_at(at, tl_elu_at(at, x, 1.6732632423543772848170429916717), 1.0507009873554804934193349852946))

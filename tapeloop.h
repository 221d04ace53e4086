/* tapeloop.h - the whole library. Each header reads as the documentation of its room. */
#ifndef TAPELOOP_H
#define TAPELOOP_H

#include "graph/graph.h"
#include "graph/op.h"
#include "ops/ops.h"
#include "layers/layers.h"
#include "optim/optim.h"
#include "data/data.h"
#include "train/train.h"

#endif

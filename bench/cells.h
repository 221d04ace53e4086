/* bench/cells.h - the cells of the workloads: the library's, and others written as a user would. */
#ifndef CELLS_H
#define CELLS_H

#include "tapeloop.h"

tl_cell library_lstm(tl_scope *s);
tl_cell library_gru(tl_scope *s);

tl_cell lstm(tl_scope *s);          /* a product for each gate */
tl_cell lstm_concat(tl_scope *s);   /* one for all, of input and state side by side */
tl_cell lstm_peephole(tl_scope *s); /* Gers et al. 2002 */
tl_cell lstm_normed(tl_scope *s);   /* Ba et al. 2016 */
tl_cell mgu(tl_scope *s);           /* Zhou et al. 2016 */
tl_cell gru(tl_scope *s);           /* Cho et al. 2014, reset before the product */

#endif

/* train/terminal.h - what is asked of terminals. Private to train/. */
#ifndef TL_TRAIN_TERMINAL_H
#define TL_TRAIN_TERMINAL_H

#include <stdio.h>

/* Characters in a line: what COLUMNS says, or the terminal; 80 where there is none (progress.c). */
int tl_terminal_columns(FILE *out);

#endif

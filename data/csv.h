/* data/csv.h - what reading and writing csv share. Private to data/. */
#ifndef TL_DATA_CSV_H
#define TL_DATA_CSV_H

#include "data/internal.h"

typedef struct tl_csv_format {
    char separator; /* ' ': any blanks */
    bool no_quotes;
} tl_csv_format;

tl_status tl_csv_format_of(const char *who, const char *path, const tl_csv_opts *o, tl_csv_format *out);
/* The column of that name; else, if the name is a number below n, that; else -1. */
int tl_find_column(const void *self, const char *(*name_of)(const void *, int), int n, const char *name);

const char *const *tl_csv_missing_list(const tl_csv_opts *o, int *n);

/* ---- number.c ----------------------------------------------------------------------------------------------- */

/* A whole text as a number, blanks around it allowed: decimal, or inf. False if it is none. */
bool tl_number_parse(const char *s, double *out);
bool tl_number_print(tl_bytes *b, double x); /* with as few digits as give x back; false if memory is short */

#endif

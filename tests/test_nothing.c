/* tests/test_nothing.c - objects that are not there: a call says so, and none reads what is not. */
#include <criterion/criterion.h>

#include <math.h>

#include "data_support.h"
#include "train/train.h"

#define REFUSED(call) cr_assert((call) == TL_E_ARGUMENT, "%s: %s", #call, tl_message())

Test(nothing, has_no_status_but_an_error)
{
    enter();
    tl_bytes b;
    tl_array a, pair[2], none = { 0 }, no_data = tl_array_of(TL_F32, TL_DIMS(3), NULL);
    tl_dataset *d = tl_dataset_new(), *e;
    tl_ragged r = { 0 };
    const char *line;
    int32_t id;
    int64_t n;
    int k;
    double x;
    REFUSED(tl_lines_next(NULL, &line, NULL));
    REFUSED(tl_vocab_encode(NULL, "a", 1, 0, &id, &n));
    REFUSED(tl_vocab_print(NULL, &b));
    REFUSED(tl_vocab_parse("utf-8 10", NULL));
    REFUSED(tl_text_clean("a", 1, NULL));
    REFUSED(tl_to_categorical(&none, &a));
    REFUSED(tl_to_categorical(&no_data, &a));
    REFUSED(tl_pad_arrays(&no_data, 1, &a));
    REFUSED(tl_sliding_windows(&no_data, 1, pair));
    REFUSED(tl_sliding_windows_opt(&no_data, 1, pair, NULL));
    REFUSED(tl_scaler_save(NULL, "x"));
    REFUSED(tl_scaler_load("x", NULL));
    REFUSED(tl_loader_new(d, NULL));
    REFUSED(tl_dataset_slice(d, 0, 1, NULL));
    REFUSED(tl_dataset_take(d, &n, 0, NULL));
    REFUSED(tl_dataset_split(d, 0.5, &e, NULL));
    REFUSED(tl_dataset_lines("x", d, NULL, NULL));
    cr_assert(!tl_dataset_of(tl_stream_source(NULL)));
    REFUSED(tl_csv_next(NULL, &k));
    REFUSED(tl_csv_number(NULL, 0, &x));
    REFUSED(tl_frame_array(NULL, NULL, 0, TL_F32, &a));
    REFUSED(tl_frame_fill(NULL, "a", 0));
    REFUSED(tl_frame_fill_forward(NULL, NULL));
    REFUSED(tl_categories_ids(NULL, NULL, 0, 0, &id));
    REFUSED(tl_categories_print(NULL, &b));
    REFUSED(tl_safetensors_read(NULL, NULL));
    REFUSED(tl_safetensors_parse(NULL, NULL, 0, NULL));
    REFUSED(tl_imdb_sequences(NULL, NULL, 0, NULL, &r));
    tl_dataset_free(d);
    leave();
}

Test(nothing, counts_for_nothing)
{
    int64_t n = 7;
    int k = 7;
    cr_assert(!tl_vocab_size(NULL) && !tl_vocab_is_bytes(NULL) && !tl_lines_number(NULL));
    cr_assert(!tl_tokenizer_words(NULL, &n) && !n && !tl_tokenizer_texts(NULL) && !tl_tokenizer_size(NULL));
    cr_assert(!tl_tokenizer_id(NULL, "a") && !tl_tokenizer_word(NULL, 1));
    tl_array out[2];
    tl_stream_rewind(NULL);
    cr_assert(!tl_stream_steps(NULL) && !tl_stream_windows(NULL) && !tl_stream_next(NULL, out));
    cr_assert(!tl_csv_columns(NULL) && !*tl_csv_name(NULL, 0) && !*tl_csv_text(NULL, 0) && !tl_csv_line(NULL));
    cr_assert(!tl_frame_rows(NULL) && !tl_frame_columns(NULL, &k) && !k && !tl_frame_column(NULL, "a"));
    cr_assert(tl_frame_missing(NULL, NULL) == -1 && tl_frame_drop_missing(NULL, NULL) == -1);
    cr_assert(!tl_categories_size(NULL) && !tl_categories_text(NULL, 0));
    cr_assert(!tl_safetensors_arrays(NULL, &k) && !tl_safetensors_texts(NULL, &k) && !k);
    cr_assert(!tl_safetensors_array(NULL, "a") && !tl_safetensors_text(NULL, "a"));
    cr_assert(!tl_npz_arrays(NULL, &k) && !tl_npz_array(NULL, "a"));
    cr_assert(isnan(tl_optimizer_lr(NULL)) && !tl_optimizer_steps(NULL) && isnan(tl_optimizer_norm(NULL)));
    cr_assert(!tl_optimizer_options(NULL).rule && !tl_optimizer_slots(NULL) && !tl_optimizer_slot_name(NULL, 0));
    cr_assert(!tl_optimizer_get_scalars(NULL).steps);
    tl_trainer_reset_states(NULL);
    tl_trainer_set_key(NULL, 1);
    cr_assert(!tl_trainer_optimizer(NULL) && !tl_trainer_inputs(NULL, &k) && !k && isnan(tl_trainer_norm(NULL)));
    cr_assert(!tl_trainer_plans(NULL));
}

/* The functions that take options take none, too: NULL is the defaults. */
Test(nothing, is_the_default_of_options)
{
    enter();
    const int32_t ids[] = { 3, 1 };
    tl_ragged r = { 0 };
    tl_array a;
    tl_texts words;
    tl_tokenizer *t;
    EQUAL(tl_ragged_add(&r, ids, 2), TL_OK);
    EQUAL(tl_pad_sequences_opt(&r, &a, NULL), TL_OK);
    cr_assert(a.dim[1] == 2 && ((int32_t *)a.data)[0] == 3);
    tl_array classes = a;
    EQUAL(tl_to_categorical_opt(&classes, &a, NULL), TL_OK);
    cr_assert(a.dim[2] == 4);
    tl_array_free(&classes);
    tl_array_free(&a);
    tl_ragged_free(&r);
    EQUAL(tl_text_to_word_sequence_opt("A b!", &words, NULL), TL_OK);
    cr_assert(words.n == 2 && !strcmp(words.text[0], "a"));
    tl_texts_free(&words);
    EQUAL(tl_tokenizer_new_opt(&t, NULL), TL_OK);
    EQUAL(tl_tokenizer_fit(t, (const char *[]){ "a b a" }, 1), TL_OK);
    EQUAL(tl_imdb_sequences_opt(t, (const char *[]){ "b a" }, 1, NULL, &r, NULL), TL_OK);
    cr_assert(r.offset[1] == 3 && r.ids[0] == 1 && r.ids[1] == 5 && r.ids[2] == 4);
    tl_ragged_free(&r);
    tl_tokenizer_free(t);
    tl_callback early = tl_early_stopping_opt(NULL), saves = tl_checkpoint_opt("x", NULL);
    EQUAL(early.status, TL_OK);
    EQUAL(saves.status, TL_OK);
    tl_callback_free(&early);
    tl_callback_free(&saves);
    leave();
}

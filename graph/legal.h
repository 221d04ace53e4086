/* graph/legal.h - the conditions on which the compiler rests, each by a name. Private to graph/.
 *
 * A condition that must hold for a rewriting, or for two values to share memory, is written TL_LEGAL(NAME, condition). A test
 * can leave each of them out, one at a time, and see that the suites notice (tests/test_legal.c): a condition whose absence
 * nothing shows is either not needed or not tested. Conditions of cost (sizes, limits) have no name: without them the bits are
 * the same. A new one is a line here, and if test_legal.c finds nothing wrong without it, a graph in
 * tests/specimens.h. */
#ifndef TL_LEGAL_H
#define TL_LEGAL_H

/* X(name, what would be allowed without it) */
#define TL_CONDITIONS(X)                                                                                               \
    /* passes.c: nodes that are one, rows that lie together */                                                         \
    X(SAME_CALLS, "two calls of a tap are one")                                                                        \
    X(SAME_OPAQUE, "two calls of an opaque operation are one")                                                         \
    X(SAME_OP, "nodes of different operations are one")                                                                \
    X(SAME_OPERANDS, "nodes with different operands are one")                                                          \
    X(SAME_ATTRIBUTES, "nodes with different attributes are one")                                                      \
    X(SAME_SHAPE, "constants of the same bytes but different shape or element type are one")                           \
    X(ROWS_OF_ONE, "rows of different nodes count as lying together")                                                  \
    X(ROWS_IN_ORDER, "rows of one node count as lying together in any order")                                          \
    /* split.c */                                                                                                      \
    X(SPLIT_RANK, "a batch of products is split as if it were one")                                                    \
    X(SPLIT_AXIS, "rows one below the other are split as if they were columns side by side")                           \
    X(SPLIT_ORDER, "the parts of a product are added up in another order")                                             \
    X(SPLIT_ROWS, "columns that are added up are split as if they were rows of the result")                            \
    X(SPLIT_COLUMNS, "columns that are added up are split as if they were columns of the result")                      \
    /* sums.c */                                                                                                       \
    X(SUMS_ORDER, "addends are added up in another order")                                                             \
    X(SUMS_USES, "a sum that something else reads is not computed")                                                    \
    X(SUMS_SHAPE, "a sum of fewer numbers is taken apart as if it were not broadcast")                                 \
    /* defer.c */                                                                                                      \
    X(DEFER_ORIENTATION, "a product whose operands do not lie by rows is deferred")                                    \
    X(DEFER_RANK, "a batch of products is deferred as if it were one")                                                 \
    X(DEFER_LEADING, "a sum that is not over the leading axes is deferred")                                            \
    X(DEFER_ALL_AXES, "a sum over all axes is deferred")                                                               \
    X(DEFER_IDS, "the addition of a single row is deferred as if it were of many")                                     \
    X(DEFER_USES, "a link that something else reads is not computed")                                                  \
    X(DEFER_ASKED, "a link that is asked for is not computed")                                                         \
    X(DEFER_KIND, "links of different operations make one chain")                                                      \
    X(DEFER_OPERANDS, "links whose operands' rows differ in shape make one chain")                                     \
    /* batch.c */                                                                                                      \
    X(BATCH_ORIENTATION, "products of transposed left operands are batched by rows")                                   \
    X(BATCH_RANK, "batches of products are batched by rows")                                                           \
    X(BATCH_RIGHT, "products by different matrices are batched")                                                       \
    X(BATCH_TRANSPOSED, "products by a matrix and by its transpose are batched")                                       \
    X(BATCH_START, "products that start from different rows are batched")                                              \
    X(BATCH_KIND, "products that start from nothing and from something are batched")                                   \
    X(BATCH_COLUMN, "products that start from a column are batched")                                                   \
    X(BATCH_CIRCLE, "groups that wait for each other are left waiting")                                                \
    /* simplify.c */                                                                                                   \
    X(START_SIGN, "a sum that starts from -0 starts from 0")                                                           \
    X(ZERO_SIGN, "x + 0 is x, even where x is -0, in exact mode")                                                      \
    X(SUM_SIGN, "the sum of one number is that number, even if that is -0, in exact mode")                             \
    X(ONE_NORMAL, "1 x is x, even where x is denormal, in exact mode")                                                 \
    X(MEMBER_AXIS, "a part of a concatenation along another axis is a part of a member")                               \
    X(MEMBER_END, "a part of two members of a concatenation is a part of the first")                                   \
    X(RESHAPED_AXIS, "columns of a reshaped concatenation are rows")                                                   \
    X(RESHAPED_ROWS, "rows of a reshaped concatenation need not be whole rows of it")                                  \
    X(SLICE_AXIS, "slices along two axes are one")                                                                     \
    X(JOINED_AXIS, "slices along one axis lie together along another")                                                 \
    X(JOINED_ONE, "slices of different things lie together")                                                           \
    X(JOINED_NEXT, "slices lie together in any order")                                                                 \
    X(STEPS_OF_ONE, "several rows are taken for a step")                                                               \
    X(STEPS_SHAPE, "steps of different shapes lie below each other")                                                   \
    X(TRANSPOSE_ORDER, "a transposition that moves numbers is another shape")                                          \
    X(SWAPS_LAST, "a product reads an operand transposed that is permuted in another way")                             \
    X(BROADCAST_USERS, "a user's kernel is given operands that it would broadcast itself")                             \
    /* constants.c */                                                                                                  \
    X(CONST_LEAF, "states, inputs and parameters are constants")                                                       \
    X(CONST_RANDOM, "random numbers are constants")                                                                    \
    X(CONST_OPAQUE, "calls of opaque operations are constants")                                                        \
    /* lookup.c */                                                                                                     \
    X(LOOKUP_COLUMNS, "what is looked up under another shape counts as rows")                                          \
    X(LOOKUP_BEGIN, "rows may begin within a row that is looked up")                                                   \
    X(LOOKUP_ORIENTATION, "rows are looked up for products of columns")                                                \
    X(LOOKUP_START, "products that start from different rows are looked up")                                           \
    X(LOOKUP_ONE_HOT, "products with one-hot rows are looked up in exact mode")                                        \
    X(LOOKUP_TRANSPOSED, "one-hot rows times a transposed matrix are its rows")                                        \
    X(CHAIN_ROUNDS, "sums of rows are put together in exact mode")                                                     \
    X(CHAIN_ORIENTATION, "products of rows count as sums over rows")                                                   \
    X(CHAIN_ONE_HOT, "rows are added to what is broadcast")                                                            \
    X(CHAIN_USES, "a link of sums that something else reads is not computed")                                          \
    X(CHAIN_SHAPE, "a link that starts from something smaller goes on from it")                                        \
    X(CHAIN_TABLE, "sums of rows of different tables make one chain")                                                  \
    X(CHAIN_SIDE, "a sum and a transposed one make one chain")                                                         \
    X(CHAIN_START, "rows of what a sum starts from are not told of")                                                   \
    X(TERM_ORIENTATION, "sums over rows count as products of rows")                                                    \
    X(TERM_START, "what is broadcast is added as if it were rows")                                                     \
    /* active.c */                                                                                                     \
    X(ACTIVE_WHOLE, "a mask of single numbers is taken for one of rows")                                               \
    X(ACTIVE_COUNT, "rows are counted along an axis that is not theirs")                                               \
    X(ACTIVE_ORIENTATION, "columns of a transposed operand are left out as if they were rows")                         \
    X(ACTIVE_RIGHT, "rows of a right operand are left out as if they were rows of the result")                         \
    X(ACTIVE_SUM, "a sum over rows looks at rows one by one")                                                          \
    X(ACTIVE_CHOSEN, "what a mask chooses in its rows' place is not looked at there")                                  \
    X(ACTIVE_FINITE, "what is multiplied by zeros is not looked at, even if it may be infinite, in exact mode")        \
    X(ACTIVE_ONE, "rows that a second mask looks at are left out by the first")                                        \
    X(ACTIVE_ZERO, "what is made of zeros is zero, whatever the operation")                                            \
    X(ACTIVE_PARTS, "masks of different element types are one")                                                        \
    X(ACTIVE_SIGN, "rows of zeros are left out, even where -0 could become 0, in exact mode")                          \
    /* pack.c, schedule.c */                                                                                           \
    X(PACK_RANK, "batches of products read one matrix packed")                                                         \
    X(SCHEDULE_READY, "an operation comes before its operands")                                                        \
    X(SCHEDULE_CALLS, "calls of taps change their order")                                                              \
    /* keep.c */                                                                                                       \
    X(KEEP_PURE, "calls of taps and of opaque operations are made once per update")                                    \
    X(KEEP_OPERANDS, "what depends on inputs is computed once per update")                                             \
    X(KEEP_RANDOM, "random numbers are drawn once per update")                                                         \
    X(KEPT_OP, "kept values of different operations are one")                                                          \
    X(KEPT_ATTRIBUTES, "kept values with different attributes are one")                                                \
    X(KEPT_SHAPES, "kept values of different shapes are one")                                                          \
    X(KEPT_OPERANDS, "kept values with different operands are one")                                                    \
    /* place.c */                                                                                                      \
    X(PART_WITHIN, "a part lies within a row, whatever its length")                                                    \
    X(PART_ROWS, "a part of several rows may begin and end within them")                                               \
    X(PART_PITCH, "rows of another pitch lie evenly in rows")                                                          \
    X(PART_WIDTH, "columns of a part may go on in the next row")                                                       \
    X(WRITE_USERS, "a user's kernel writes rows that lie apart")                                                       \
    X(WRITE_FITS, "rows that lie apart need not be rows of the value")                                                 \
    X(WRITE_PARTS, "a concatenation lies apart of which a part does not")                                              \
    X(WRITE_CLASS, "any operation writes rows that lie apart")                                                         \
    X(READ_VIEW, "a view lies apart though its readers cannot read it")                                                \
    X(READ_FITS, "rows that lie apart are read that are not rows of the value")                                        \
    X(READ_CLASS, "any operation reads rows that lie apart")                                                           \
    X(READ_WHOLE, "what is asked for lies apart")                                                                      \
    X(TOGETHER_ROWS, "columns lie together as rows do")                                                                \
    X(TOGETHER_ONE, "parts of different blocks lie together")                                                          \
    X(TOGETHER_NEXT, "parts of a block lie together in any order")                                                     \
    X(PLACE_ONCE, "a value is made in two places")                                                                     \
    /* fuse.c */                                                                                                       \
    X(FUSE_USERS, "a user's kernel works by tiles")                                                                    \
    X(FUSE_EVEN, "rows may be cut anywhere")                                                                           \
    X(FUSE_ROWS, "operations of different numbers of rows go side by side")                                            \
    X(STEP_LENGTH, "rows of different lengths go side by side")                                                        \
    X(STEP_EXTENT, "rows may read what belongs to the next")                                                           \
    X(TILE_USES, "what others read lives in tiles only")                                                               \
    X(TILE_PITCH, "parts of rows live in tiles that rows do not fill")                                                 \
    X(TILE_LAST, "a tile is given away that is still needed")                                                          \
    X(TILE_SIZE, "a tile is given to what is larger")                                                                  \
    /* plan.c */                                                                                                       \
    X(TABLE_START, "rows added to something are added to nothing")                                                     \
    X(GRADIENT_THERE, "a gradient that lies elsewhere is not copied")                                                  \
    X(OUTPUT_OWN, "an output that lies in a parameter, input or gradient is not copied")                               \
    /* assign.c */                                                                                                     \
    X(ALIVE_USES, "a value dies with its first use")                                                                   \
    X(ALIVE_OUTPUT, "an output dies with its last use")                                                                \
    X(ALIVE_STATE, "a state to be set dies with its last use")                                                         \
    X(OVER_CLASS, "any operation writes over an operand")                                                              \
    X(OVER_SAME, "an operand is written over that is read elsewhere, or broadcast")                                    \
    X(OVER_DIES, "an operand is written over that is still needed")                                                    \
    X(OVER_SIZE, "an operand of another size is written over")                                                         \
    X(OVER_STEP, "rows of another length are written over")                                                            \
    X(OVER_ROWS, "a sum of rows is written over what is read again for the next rows")                                 \
    X(OVER_LATER, "what a later member of a run reads is written over")

#endif

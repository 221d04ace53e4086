/* graph/legal.h - the conditions on which the compiler rests, each by a name. Private to graph/.
 *
 * A condition that must hold for a rewriting, or for two values to share memory, is written TL_LEGAL(NAME, condition). A test
 * can leave each of them out, one at a time, and see that the suites notice (tests/test_legal.c): a condition whose absence
 * nothing shows is either not needed or not tested. Conditions of cost (sizes, limits) have no name: without them the bits are
 * the same. A new one is a line here, and if test_legal.c finds nothing wrong without it, a graph there. */
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
    X(OVER_LATER, "what a later member of a run reads is written over")

#endif

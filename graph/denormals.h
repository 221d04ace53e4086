/* graph/denormals.h - flushed to zero inside a run and an update: a saturated recurrent network is several times slower
 * otherwise. Private to the library. */
#ifndef TL_DENORMALS_H
#define TL_DENORMALS_H

#include <stdint.h>

/* The caller's floating-point mode, as tl_flush_denormals() found it and tl_restore_mode() puts it back. */
#if defined __SSE2__
#include <xmmintrin.h>

typedef unsigned tl_float_mode;
static inline tl_float_mode tl_flush_denormals(void)
{
    const tl_float_mode old = _mm_getcsr();
    _mm_setcsr(old | 0x8040); /* flush to zero, denormals are zero */
    return old;
}
static inline void tl_restore_mode(tl_float_mode old)
{
    _mm_setcsr((_mm_getcsr() & 0x3F) | old); /* keeps the exception flags that the run has raised */
}
#elif defined __aarch64__
typedef uint64_t tl_float_mode;
static inline tl_float_mode tl_flush_denormals(void)
{
    tl_float_mode old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | (1u << 24)));
    return old;
}
static inline void tl_restore_mode(tl_float_mode old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
#else
typedef int tl_float_mode;
static inline tl_float_mode tl_flush_denormals(void) { return 0; }
static inline void tl_restore_mode(tl_float_mode old) { (void)old; }
#endif

#endif

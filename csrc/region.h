/* Entering and leaving a piece of parallel work: subnormal numbers are flushed to zero inside it (they would slow
 * arithmetic down up to a hundredfold), and the caller's mode comes back afterwards.  Per thread; a no-op elsewhere. */
#ifndef TINYNET_REGION_H
#define TINYNET_REGION_H

#if defined(__x86_64__)
#include <xmmintrin.h>
static inline unsigned long tn_enter(void) {
    unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040u); /* flush results, treat subnormal inputs as zero */
    return mode;
}
static inline void tn_leave(unsigned long mode) { _mm_setcsr((unsigned)mode); }
#elif defined(__aarch64__)
static inline unsigned long tn_enter(void) {
    unsigned long mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | (1ul << 24)));
    return mode;
}
static inline void tn_leave(unsigned long mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static inline unsigned long tn_enter(void) { return 0; }
static inline void tn_leave(unsigned long mode) { (void)mode; }
#endif

#endif

/* The vectors that the kernels are written in: GCC/Clang vector extensions, VL floats wide.
 *
 * Each isa_*.c defines VL (lanes of a float vector), MR and NV (the tile of the matrix product) and includes the kernel
 * files once; the compiler's flags for that file decide which instructions come out.  Arithmetic on `vf` is elementwise;
 * a*b + c becomes a fused multiply-add where the instruction set has one (-ffp-contract=fast).
 */
#include "tinynet.h"

#include <math.h>
#include <string.h>
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

/* `vd` is wider than a register on baseline x86-64; it is only ever passed between functions that are inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16") /* the loop that follows has a small constant number of turns */

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef double vd __attribute__((vector_size(8 * VL)));
typedef float vf_any __attribute__((vector_size(4 * VL), aligned(4), may_alias)); /* at any float's address */

INLINE vf load(const float *p) { return *(const vf_any *)p; }
INLINE void store(float *p, vf v) { *(vf_any *)p = v; }
INLINE vf splat(float x) { return x - (vf){0}; } /* not x + 0: that would cost an addition to keep -0 */
INLINE vf choose(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }

/* The first n < VL floats at p, other lanes 0; nothing beyond them is touched. */
INLINE vf load_first(const float *p, ptrdiff_t n) {
#if defined(__AVX512F__)
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(__AVX2__)
    vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return (vf)_mm256_maskload_ps(p, (__m256i)(lane < (int32_t)n));
#else
    vf v = {0};
    for (ptrdiff_t i = 0; i < n; i++) v[i] = p[i];
    return v;
#endif
}

INLINE void store_first(float *p, vf v, ptrdiff_t n) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif defined(__AVX2__)
    vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
    _mm256_maskstore_ps(p, (__m256i)(lane < (int32_t)n), (__m256)v);
#else
    for (ptrdiff_t i = 0; i < n; i++) p[i] = v[i];
#endif
}

enum { HALF = VL / 2 };

#if VL == 16
/* Half a vector.  Half the work where registers of 16 lanes meet arithmetic of 8 (Zen 4), so that a remainder is worth it. */
typedef float vf8 __attribute__((vector_size(32)));
typedef float vf8_any __attribute__((vector_size(32), aligned(4), may_alias));

INLINE vf8 load8(const float *p) { return *(const vf8_any *)p; }
INLINE vf8 load8_n(const float *p, ptrdiff_t n) { return (vf8)_mm256_maskz_loadu_ps((__mmask8)((1u << n) - 1), p); }
INLINE void store8_n(float *p, vf8 v, ptrdiff_t n) { _mm256_mask_storeu_ps(p, (__mmask8)((1u << n) - 1), (__m256)v); }
#endif

/* n is VL (a whole vector) or less; in an inlined kernel the caller's constant VL removes the test. */
INLINE vf load_n(const float *p, ptrdiff_t n) { return n == VL ? load(p) : load_first(p, n); }
INLINE void store_n(float *p, vf v, ptrdiff_t n) {
    if (n == VL) store(p, v);
    else store_first(p, v, n);
}

/* Asks for n bytes at p, which need not exist, into the L2 cache. */
INLINE void fetch(const void *p, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += 64) __builtin_prefetch((const char *)p + i, 0, 2);
}

/* The sum over the lanes, halves folded onto each other. */
INLINE float lanes_sum(vf v) {
    float s[VL];
    store(s, v);
    for (int half = VL / 2; half; half /= 2)
        for (int i = 0; i < half; i++) s[i] += s[i + half];
    return s[0];
}

/* x limited to [low, high]; NaN stays NaN. */
INLINE vf limited(vf x, float low, float high) {
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), (__m512)x));
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), (__m256)x));
#else
    return choose(x < low, splat(low), choose(x > high, splat(high), x));
#endif
}

/* The larger of a and b; b where one of them is NaN. */
INLINE vf larger(vf a, vf b) {
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return choose(a > b, a, b);
#endif
}

/* p 2^n for a whole number n of at most 252 either way. */
INLINE vf scaled(vf p, vf n) {
#if defined(__AVX512F__)
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    vi e = __builtin_convertvector(n, vi), half = e >> 1; /* two factors: 2^n may be beyond the range of float */
    return p * (vf)((half + 127) << 23) * (vf)((e - half + 127) << 23);
#endif
}

/* n = round(x / ln 2) and exp(r) - 1 for r = x - n ln 2, taken in two steps (|r| <= 0.347), by the degree-6 polynomial of
 * Cephes (Moshier 1989); |x| up to 104. */
INLINE vf exp_parts(vf x, vf *n) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to the nearest integer */
    *n = (x * 1.44269504088896341f + magic) - magic;
    vf r = x - *n * 0.693359375f;
    r = r + *n * 2.12194440e-4f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * (r * r) + r;
}

/* exp(x) = 2^n exp(r).  At most 3 units in the last place (tests/test_kernels.py, through log-softmax).
 * Below -87.3 the result, which would be subnormal, is flushed to 0 (region.h); above 88.7 it is inf; NaN stays NaN. */
INLINE vf exp_v(vf x) {
    vf n, q = exp_parts(limited(x, -104.0f, 104.0f), &n);
    return scaled(q + 1.0f, n);
}

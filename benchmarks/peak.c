/* Multiplies and adds in registers only: what this processor can do at most.  a[j] = a[j] x + y for ACCUMULATORS
 * independent vectors, as many as the latency of a fused multiply-add times the number of units that do it (4 x 2 on
 * most x86), and some more; x = 1/2 and y = 1 keep a[j] near 2.  Compiled for this machine by benchmarks/peak.py.  */
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define ACCUMULATORS 12

typedef float vector __attribute__((vector_size(BYTES)));

/* Runs `rounds` rounds, puts a sum into *sink, so that nothing can be left out, and returns the floating-point
 * operations of a round. */
long multiply_add(long rounds, float half, float one, float *sink) {
    const vector zero = {0}, x = half - zero, y = one - zero;
    vector a[ACCUMULATORS];
    for (int j = 0; j < ACCUMULATORS; j++) a[j] = y;
    for (long i = 0; i < rounds; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < ACCUMULATORS; j++) a[j] = a[j] * x + y;
    }
    for (int j = 1; j < ACCUMULATORS; j++) a[0] += a[j];
    *sink = a[0][0];
    return 2L * ACCUMULATORS * (BYTES / sizeof(float));
}

/* Which kernel table to use: the one place where instruction sets are told apart at run time. */
#include "tinynet.h"

#include <string.h>

extern const tn_kernels tn_kernels_scalar;
extern const tn_kernels tn_kernels_baseline;
#ifdef TN_HAVE_AVX2
extern const tn_kernels tn_kernels_avx2;
#endif
#ifdef TN_HAVE_AVX512
extern const tn_kernels tn_kernels_avx512;
#endif

/* Best first.  The built-in checks cover both the CPU and the operating system (saved registers). */
static const tn_kernels *table(int i, int *runs) {
    *runs = 1;
    switch (i) {
#ifdef TN_HAVE_AVX512
    case 0:
        *runs = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
        return &tn_kernels_avx512;
#endif
#ifdef TN_HAVE_AVX2
    case 1: *runs = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); return &tn_kernels_avx2;
#endif
    case 2: return &tn_kernels_baseline;
    case 3: return &tn_kernels_scalar;
    default: return NULL;
    }
}

const tn_kernels *tn_select(const char *name) {
#if defined(TN_HAVE_AVX2) || defined(TN_HAVE_AVX512)
    __builtin_cpu_init();
#endif
    for (int i = 0; i < 4; i++) {
        int runs;
        const tn_kernels *k = table(i, &runs);
        if (k && runs && (!name || !strcmp(name, k->isa))) return k;
    }
    return NULL;
}

int tn_compiled(const char *name) {
    for (int i = 0; i < 4; i++) {
        int runs;
        const tn_kernels *k = table(i, &runs);
        if (k && !strcmp(name, k->isa)) return 1;
    }
    return 0;
}

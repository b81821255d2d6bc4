/* AVX-512 (F, VL, BW, DQ): 32 registers of 16 floats. */
#define VL 16
#define MR 12
#define NV 2
#define TN_TABLE tn_kernels_avx512
#define TN_NAME "avx512"
#include "kernels.inc.h"

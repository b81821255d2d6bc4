/* AVX2 with FMA: 16 registers of 8 floats.  Compiled with -mavx2 -mfma. */
#define VL 8
#define MR 6
#define NV 2
#define TN_TABLE tn_kernels_avx2
#define TN_NAME "avx2"
#include "kernels.inc.h"

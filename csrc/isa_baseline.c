/* Whatever every CPU of this architecture has: SSE2 on x86-64, NEON on 64-bit ARM. */
#define VL 4
#define MR 6
#define NV 2
#define TN_TABLE tn_kernels_baseline
#define TN_NAME "baseline"
#include "kernels.inc.h"

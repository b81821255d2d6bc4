/* + - * / of two arrays, or of an array and one number, and a choice between them: see tinynet.h.
 *
 * da and db are the steps from one element of a and b to the next: 1, or 0 for a number that meets every element. */
#define COMBINE(result)                      \
    do {                                     \
        if (da && db) {                      \
            MAP(n, {                         \
                vf u = load_n(a + i, m);     \
                vf v = load_n(b + i, m);     \
                store_n(y + i, (result), m); \
            });                              \
        } else if (da) {                     \
            const vf v = splat(b[0]);        \
            MAP(n, {                         \
                vf u = load_n(a + i, m);     \
                store_n(y + i, (result), m); \
            });                              \
        } else {                             \
            const vf u = splat(a[0]);        \
            MAP(n, {                         \
                vf v = load_n(b + i, m);     \
                store_n(y + i, (result), m); \
            });                              \
        }                                    \
    } while (0)

static void add_f32(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db) { COMBINE(u + v); }
static void sub_f32(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db) { COMBINE(u - v); }
static void mul_f32(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db) { COMBINE(u * v); }
static void div_f32(float *y, const float *a, const float *b, ptrdiff_t n, int da, int db) { COMBINE(u / v); }

/* All bits set where c[i] is 1, for the first m elements. */
INLINE vi mask_n(const uint8_t *c, ptrdiff_t m) {
    int32_t lanes[VL] = {0};
    for (ptrdiff_t i = 0; i < m; i++) lanes[i] = -(int32_t)c[i];
    vi v;
    memcpy(&v, lanes, sizeof v);
    return v;
}

static void where_f32(float *y, const uint8_t *c, const float *a, const float *b, ptrdiff_t n, int da, int db) {
    COMBINE(choose(mask_n(c + i, m), u, v));
}

/* Local response normalisation (Krizhevsky, Sutskever & Hinton 2012, section 3.3): see tinynet.h.
 *
 * What is summed over neighbouring channels is first written into `room`, with zeros before and after the row, so that the
 * sums are sums of shifted loads. */

/* d^-beta: for beta = 3/4, the paper's, by two square roots; otherwise the C library's power, lane by lane.  y is then
 * within 3 units in the last place, and 12 for other -0.5 <= beta <= 2.3 (tests/test_ops_local_response_norm.py). */
INLINE vf inverse_power(vf d, float beta) {
    if (beta == 0.75f) {
        vf r = root_v(d);
        return 1.0f / (r * root_v(r));
    }
    float p[VL];
    store(p, d);
    for (int i = 0; i < VL; i++) p[i] = powf(p[i], -beta);
    return load(p);
}

/* The sum of n >= 1 vectors that start at p, p + 1, ..., in float32 over blocks of TN_ROW_BLOCK and in double beyond. */
INLINE vf neighbours(const float *p, ptrdiff_t n, ptrdiff_t m) {
    vf s = {0};
    if (n <= TN_ROW_BLOCK) {
        for (ptrdiff_t i = 0; i < n; i++) s += load_n(p + i, m);
        return s;
    }
    vd total = {0};
    for (ptrdiff_t first = 0; first < n; first += TN_ROW_BLOCK) {
        s = (vf){0};
        for (ptrdiff_t i = first, end = first + block_rows(first, n); i < end; i++) s += load_n(p + i, m);
        total += widen(s);
    }
    return __builtin_convertvector(total, vf);
}

/* room = `before` zeros, the squares of x, `after` zeros. */
INLINE void padded_squares(float *room, const float *x, ptrdiff_t c, ptrdiff_t before, ptrdiff_t after) {
    memset(room, 0, (size_t)before * sizeof *room);
    memset(room + before + c, 0, (size_t)after * sizeof *room);
    MAP(c, {
        vf v = load_n(x + i, m);
        store_n(room + before + i, v * v, m);
    });
}

static void response_forward_f32(float *y, float *room, const float *x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t ldx,
                                 ptrdiff_t below, ptrdiff_t above, float alpha, float beta, float k) {
    for (ptrdiff_t r = 0; r < rows; r++, x += ldx, y += c) {
        padded_squares(room, x, c, below, above);
        MAP(c, {
            vf d = k + alpha * neighbours(room + i, below + 1 + above, m);
            store_n(y + i, load_n(x + i, m) * inverse_power(d, beta), m);
        });
    }
}

static void response_backward_f32(float *gx, float *room, const float *gy, const float *x, ptrdiff_t rows, ptrdiff_t c,
                                  ptrdiff_t ldg, ptrdiff_t ldx, ptrdiff_t below, ptrdiff_t above, float alpha,
                                  float beta, float k) {
    ptrdiff_t n = below + 1 + above;
    float *terms = room + c + n - 1; /* gy x d^(-beta-1), with zeros around */
    memset(terms, 0, (size_t)above * sizeof *terms);
    memset(terms + above + c, 0, (size_t)below * sizeof *terms);
    for (ptrdiff_t r = 0; r < rows; r++, x += ldx, gy += ldg, gx += c) {
        padded_squares(room, x, c, below, above);
        MAP(c, {
            vf d = k + alpha * neighbours(room + i, n, m);
            vf gp = load_n(gy + i, m) * inverse_power(d, beta);
            store_n(gx + i, gp, m);
            store_n(terms + above + i, gp * load_n(x + i, m) / d, m);
        });
        MAP(c, {
            vf sum = neighbours(terms + i, n, m);
            store_n(gx + i, load_n(gx + i, m) - 2.0f * alpha * beta * load_n(x + i, m) * sum, m);
        });
    }
}

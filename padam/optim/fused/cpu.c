/* One step of Padam, Amsgrad, Yogi or AdaBound over many tensors on a CPU; `cpu.py` compiles and calls it.

   A rule that is written in passes reads and writes memory in each of them. Here every number is read once and written
   once: five reads and four writes a parameter (Yogi and AdaBound have no maximum: four and three).

   Defined when this is compiled, so that the loop has no branches but one on l2, which compilers take out of it:
   REAL    float or double
   RULE    PADAM, YOGI or ADABOUND; Amsgrad is PADAM with ROOTS 0
   ROOTS   PADAM's denominator is sqrt(v_hat) + eps, of which so many square roots are taken; -1: to the power `exponent`
*/
#include <math.h>
#include <pthread.h>
#include <stdint.h>

#define PADAM 1
#define YOGI 2
#define ADABOUND 3
#define MAX_CHUNK 32768 /* elements that a thread takes at a time */
#define MIN_CHUNK 1024
#define CHUNKS_PER_THREAD 8

#if defined(__SSE__) || defined(__x86_64__)
#include <xmmintrin.h>
#define FLUSHES 0x8040u /* the two bits that say so */
#define MODE() (_mm_getcsr() & FLUSHES)
#define SET_MODE(mode) _mm_setcsr((_mm_getcsr() & ~FLUSHES) | (mode))
#elif defined(__aarch64__)
#define FLUSHES (1u << 24)
static inline uint64_t control(void) {
    uint64_t found;
    __asm__ volatile("mrs %0, fpcr" : "=r"(found));
    return found;
}
#define MODE() ((uint32_t)control() & FLUSHES)
#define SET_MODE(mode) __asm__ volatile("msr fpcr, %0" ::"r"((control() & ~(uint64_t)FLUSHES) | (mode)))
#else
#define MODE() 0
#define SET_MODE(mode) (void)(mode)
#endif

static inline REAL root(REAL x) { return sizeof(REAL) == 4 ? sqrtf(x) : sqrt(x); }

#if ROOTS < 0 && defined(__GLIBC__) && defined(__x86_64__) && !defined(__clang__)
/* glibc has these for several scalars at once; its header says so to -ffast-math only, which we do not want. */
__attribute__((simd("notinbranch"))) float powf(float, float);
__attribute__((simd("notinbranch"))) double pow(double, double);
#endif

static inline REAL power(REAL x, REAL exponent) {
    (void)exponent;
#if ROOTS < 0
    return sizeof(REAL) == 4 ? powf(x, exponent) : pow(x, exponent);
#else
    for (int i = 0; i < ROOTS; i++) x = root(x);
    return x;
#endif
}

/* What differs from tensor to tensor, for one that was frozen for a while is at a step of its own: alpha_t,
   eps_t, 1 - lr * weight_decay if the decay is decoupled, and the two bounds of AdaBound. */
typedef struct { double lr, eps, shrink, lower, upper; } scalars;

static void chunk(REAL *restrict x, const REAL *restrict grad, REAL *restrict m, REAL *restrict v,
                  REAL *restrict v_hat, int64_t numel, double beta1, double beta2, double exponent, double sign,
                  double l2, const scalars *h) {
    const REAL b1 = beta1, one_minus_b1 = 1 - beta1, b2 = beta2, one_minus_b2 = 1 - beta2, up = sign, decay = l2;
    const REAL lr = h->lr, eps = h->eps, shrink = h->shrink, lower = h->lower, upper = h->upper;
    (void)v_hat, (void)exponent, (void)lower, (void)upper, (void)b2;
    for (int64_t i = 0; i < numel; i++) {
        REAL g = up * grad[i];
        if (l2 != 0) g += decay * x[i];
        m[i] = b1 * m[i] + one_minus_b1 * g;
#if RULE == YOGI
        const REAL excess = v[i] - g * g;
        v[i] -= one_minus_b2 * (g * g) * ((excess > 0) - (excess < 0));
        const REAL step = lr * m[i] / (root(v[i]) + eps);
#else
        v[i] = b2 * v[i] + one_minus_b2 * (g * g);
#endif
#if RULE == PADAM
        v_hat[i] = v_hat[i] >= v[i] ? v_hat[i] : v[i]; /* NaN propagates */
        const REAL step = lr * m[i] / power(root(v_hat[i]) + eps, (REAL)exponent);
#elif RULE == ADABOUND
        REAL rate = lr / (root(v[i]) + eps);
        rate = rate < lower ? lower : rate;
        rate = rate > upper ? upper : rate;
        const REAL step = rate * m[i];
#endif
        x[i] = shrink * x[i] - step;
    }
}

/* What the threads share. */
typedef struct {
    const int64_t *pointers;
    const scalars *h;
    int64_t per_tensor, tensors, chunk_size, next;
    uint32_t mode; /* whether denormal numbers are flushed to zero: all do as the calling thread does */
    double beta1, beta2, exponent, sign, l2;
} job;

/* Take chunks of the tensors, one after the other, until there are none left. */
static void work(void *given) {
    job *j = given;
    const uint32_t before = MODE();
    int64_t mine = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED), here = 0;
    SET_MODE(j->mode);
    for (int64_t i = 0; i < j->tensors; i++) {
        const int64_t numel = j->pointers[5 * j->tensors + i];
        for (int64_t begin = 0; begin < numel; begin += j->chunk_size) {
            if (here++ != mine) continue;
            REAL *at[5];
            for (int k = 0; k < 5; k++) {
                at[k] = (REAL *)(intptr_t)j->pointers[k * j->tensors + i];
                if (at[k]) at[k] += begin;
            }
            const int64_t size = numel - begin < j->chunk_size ? numel - begin : j->chunk_size;
            chunk(at[0], at[1], at[2], at[3], at[4], size, j->beta1, j->beta2, j->exponent, j->sign, j->l2,
                  j->per_tensor ? j->h + i : j->h);
            mine = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED);
        }
    }
    SET_MODE(before);
}

/* How many elements make a chunk, so that small networks too have some for each thread. */
static int64_t chunk_size(const int64_t *sizes, int64_t tensors, unsigned threads) {
    int64_t total = 0;
    for (int64_t i = 0; i < tensors; i++) total += sizes[i];
    const int64_t share = total / (CHUNKS_PER_THREAD * (int64_t)threads) / MIN_CHUNK * MIN_CHUNK;
    return share < MIN_CHUNK ? MIN_CHUNK : share > MAX_CHUNK ? MAX_CHUNK : share;
}

static void *worked(void *given) {
    work(given);
    return 0;
}

/* One step.

   pointers: six rows of `tensors` numbers: where x, g, m, v and v_hat (or 0) begin, and how many elements they have;
   and, if `step_count` is not 0, where the floats are that become `step_count`;
   h: the scalars of a step, one row that all tensors share or one for each (`per_tensor`);
   threads: how many work, 1 or more;
   parallel: GOMP_parallel of the OpenMP library that torch has loaded, whose threads are awake already and would be in
   the way of others; 0: threads are started. */
void step(const int64_t *pointers, const scalars *h, int64_t per_tensor, int64_t tensors, unsigned threads,
          void (*parallel)(void (*)(void *), void *, unsigned, unsigned), double beta1, double beta2, double exponent,
          double sign, double l2, double step_count) {
    for (int64_t i = 0; step_count != 0 && i < tensors; i++)
        *(float *)(intptr_t)pointers[6 * tensors + i] = step_count;
    const int64_t size = chunk_size(pointers + 5 * tensors, tensors, threads);
    job j = {pointers, h, per_tensor, tensors, size, 0, MODE(), beta1, beta2, exponent, sign, l2};
    if (threads > 1 && parallel) {
        parallel(work, &j, threads, 0);
        return;
    }
    pthread_t started[threads];
    unsigned helpers = 0; /* where one cannot be started, the others do its work */
    while (helpers + 1 < threads && !pthread_create(&started[helpers], 0, worked, &j)) helpers++;
    work(&j);
    while (helpers > 0) pthread_join(started[--helpers], 0);
}

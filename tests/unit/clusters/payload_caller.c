/* Calls the clock functions of a patched vDSO's image: for test_payloads.py.
 *
 * Arguments: the image's file, and where in it are the count and the banks. Each line of the input is a call:
 *
 *   kind (c: clock_gettime, g: gettimeofday, t: time), its place, clock, 1: with a result | 2: with a time zone,
 *   seconds and rest of the real time, what the system call returns, updates so far, the bank's six figures
 *
 * and the answer: what it returned, the two parts of the result, the time zone, the real time before and after in ns.
 * Where the image's system calls have become illegal instructions, they tell the real time of the line. Where its loads
 * of an anchor have become other ones, each call is held up there until four updates have given realtime the figures of
 * monotonic.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __aarch64__
#define NUMBER regs[8]
#define RESULT regs[0]
#define FIRST regs[0]
#define SECOND regs[1]
#define PLACE pc
#define SYSTEM_CALL_BYTES 4
#define LOAD 0x00000001 /* udf #1 */
#define BANK regs[5]
#define ANCHOR regs[10]
#define GUARDED 0x10 /* PROT_BTI */
#else
#define NUMBER gregs[REG_RAX]
#define RESULT gregs[REG_RAX]
#define FIRST gregs[REG_RDI]
#define SECOND gregs[REG_RSI]
#define PLACE gregs[REG_RIP]
#define SYSTEM_CALL_BYTES 2
#define LOAD 0x90900b0f /* ud2; nop; nop */
#define BANK gregs[REG_R8]
#define ANCHOR gregs[REG_R8]
#define GUARDED 0
#endif

static long real_s, real_rest, fails;
static volatile uint32_t *count;
static volatile int64_t *banks;
static int64_t figures[6];
static int held;

static void update(uint32_t number)
{
    volatile int64_t *bank = banks + number % 4 * 8;
    for (int i = 0; i < 6; i++)
        bank[i + i / 3] = figures[i];
    __sync_synchronize();
    *count = number;
}

static void hold_up(void)
{
    if (held++)
        return;
    for (int i = 0; i < 3; i++)
        figures[i] = figures[i + 3];
    for (int i = 0; i < 4; i++)
        update(*count + 1);
}

static void instead(int number, siginfo_t *info, void *context)
{
    mcontext_t *at = &((ucontext_t *)context)->uc_mcontext;
    long call = at->NUMBER, *time = (long *)at->FIRST;
    int *zone = (int *)at->SECOND;
    (void)number, (void)info;
    if (*(uint32_t *)at->PLACE == LOAD) {
        hold_up();
        at->ANCHOR = ((long *)at->BANK)[2];
        at->PLACE += 4;
        return;
    }
    if (call == SYS_clock_gettime)
        time = (long *)at->SECOND, zone = NULL;
    else if (call != SYS_gettimeofday)
        abort();
    if (!fails && time)
        time[0] = real_s, time[1] = real_rest;
    if (!fails && zone)
        zone[0] = 60, zone[1] = 1;
    at->RESULT = fails;
#ifdef __x86_64__
    at->gregs[REG_RCX] = at->gregs[REG_R11] = -1; /* as the instruction does */
#endif
    at->PLACE += SYSTEM_CALL_BYTES;
}

static int64_t now(int clock)
{
    struct timespec time = {0, 0};
    syscall(SYS_clock_gettime, clock, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

int main(int arguments, char **argument)
{
    int file = open(argument[1], O_RDONLY), clock, with;
    size_t size = lseek(file, 0, SEEK_END);
    char kind, *image = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    struct sigaction action = {.sa_sigaction = instead, .sa_flags = SA_SIGINFO};
    long place;
    uint32_t number;

    if (arguments != 4 || image == MAP_FAILED || mprotect(image, size, PROT_READ | PROT_WRITE | PROT_EXEC | GUARDED))
        return 1;
    __builtin___clear_cache(image, image + size);
    count = (uint32_t *)(image + atol(argument[2]));
    banks = (int64_t *)(image + atol(argument[3]));
    sigaction(SIGILL, &action, NULL);
    while (scanf(" %c %ld %d %d %ld %ld %ld %u %ld %ld %ld %ld %ld %ld", &kind, &place, &clock, &with, &real_s,
                 &real_rest, &fails, &number, figures, figures + 1, figures + 2, figures + 3, figures + 4,
                 figures + 5) == 14) {
        long time[2] = {-7, -7}, returned, *result = with & 1 ? time : NULL;
        int zone[2] = {-7, -7};
        int64_t before;
        void *entry = image + place;

        update(number);
        held = 0;
        before = now(clock);
        if (kind == 'c')
            returned = ((int (*)(int, long *))entry)(clock, result);
        else if (kind == 'g')
            returned = ((int (*)(long *, int *))entry)(result, with & 2 ? zone : NULL);
        else
            returned = ((long (*)(long *))entry)(result);
        printf("%ld %ld %ld %d %ld %ld\n", returned, time[0], time[1], zone[0], before, now(clock));
    }
    return 0;
}

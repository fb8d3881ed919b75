// What the patched vDSO entries jump to on aarch64: the real time by system call, then the skew of the clock's family.
//
//   fake = real + offset + ((real - anchor) * rate >> 32)       all in ns; rate in 2**-32
//
// Position-independent; of the registers only x0-x15, which any function may use, and no stack. An entry becomes
// `bti c; b`: where the kernel's vDSO is guarded against stray jumps (CONFIG_ARM64_BTI_KERNEL), a call must find the
// first, which does nothing elsewhere; a direct branch and `ret` need none here.
//
// Nobody has to flush an instruction cache: the kernel's copy_to_user_page (arch/arm64/mm/flush.c) does so for all that
// is written to executable pages through /proc/PID/mem, with a barrier that also keeps our writes in their order.
//
// architectures.py holds the bytes: aarch64-linux-gnu-as payload_aarch64.s -o p.o && aarch64-linux-gnu-objcopy -O binary
// -j .text p.o p.bin

        .set    SYS_CLOCK_GETTIME, 113
        .set    SYS_GETTIMEOFDAY, 169
        .set    REALTIME, 0b100100100001        // REALTIME, _COARSE, _ALARM, TAI
        .set    MONOTONIC, 0b001011010010       // MONOTONIC, _RAW, _COARSE, BOOTTIME, _ALARM

// x0, x1 = the fake time, seconds and the rest in ns, of the real one in x0, x1, seconds and the rest in units of \unit
// ns, for the family whose half of a bank is at x9 (0 or 32). An update writes a bank that nobody reads and then the
// count, which is read again: no reader mixes two banks. This processor must be told to read in that order.
        .macro  skew    unit
        mov     w11, #(1000000000 & 0xffff)
        movk    w11, #(1000000000 >> 16), lsl #16
        mov     w12, #\unit
        mul     x1, x1, x12
        madd    x0, x0, x11, x1
        adr     x2, count
        add     x9, x9, #64                     // from the count to the half of the first bank
1:      ldar    w3, [x2]                        // before the bank
        and     w4, w3, #3
        add     x5, x9, x4, lsl #6
        add     x5, x5, x2
        ldp     x6, x7, [x5]                    // offset, rate
        ldr     x10, [x5, #16]                  // anchor
        dmb     ishld                           // before the count again
        ldr     w4, [x2]
        cmp     w3, w4
        b.ne    1b
        sub     x10, x0, x10
        mul     x4, x10, x7
        smulh   x5, x10, x7
        extr    x4, x5, x4, #32
        add     x0, x0, x4
        adds    x0, x0, x6
        csel    x0, x0, xzr, pl                 // no clock stands before 0
        mov     x1, x0
        udiv    x0, x0, x11
        msub    x1, x0, x11, x1
        .endm

        .text
clock_gettime:                                  // w0: clock, x1: timespec
        mov     w14, w0
        mov     x15, x1
        mov     x8, #SYS_CLOCK_GETTIME
        svc     #0
        cbnz    w0, 3f
        cmp     w14, #11
        b.hi    3f
        mov     w9, #MONOTONIC
        lsr     w9, w9, w14
        ubfiz   x9, x9, #5, #1                  // 32 or 0
        cbnz    x9, 4f
        mov     w10, #REALTIME
        lsr     w10, w10, w14
        tbz     w10, #0, 3f
4:      ldp     x0, x1, [x15]
        skew    1
        stp     x0, x1, [x15]
        mov     w0, #0
3:      ret

        .p2align 4
gettimeofday:                                   // x0: timeval or null, x1: timezone or null
        mov     x15, x0
        mov     x8, #SYS_GETTIMEOFDAY
        svc     #0
        cbnz    w0, 3f
        cbz     x15, 3f
        mov     x9, #0
        ldp     x0, x1, [x15]
        skew    1000
        udiv    x1, x1, x12
        stp     x0, x1, [x15]
        mov     w0, #0
3:      ret

        .p2align 6
count:  .skip   64                              // updates so far, 32 bits
banks:  .skip   256                             // 4 of 64 bytes: offset, rate, anchor, 0; then the same for monotonic

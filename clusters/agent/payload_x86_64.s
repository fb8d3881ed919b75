# What the patched vDSO entries jump to on x86_64: the real time by system call, then the skew of the clock's family.
#
#   fake = real + offset + ((real - anchor) * rate >> 32)       all in ns; rate in 2**-32
#
# Position-independent; caller-saved registers only; `time` alone uses the stack, below its pointer, as a leaf may.
# architectures.py holds the bytes: as payload_x86_64.s -o p.o && objcopy -O binary -j .text p.o p.bin

        .set    SYS_GETPID, 39
        .set    SYS_GETTIMEOFDAY, 96
        .set    SYS_CLOCK_GETTIME, 228
        .set    REALTIME, 0b100100100001        # REALTIME, _COARSE, _ALARM, TAI
        .set    MONOTONIC, 0b001011010010       # MONOTONIC, _RAW, _COARSE, BOOTTIME, _ALARM
        .set    SECOND, 1000000000

# rax = the fake time in ns of the real one in rax, for the family whose half of a bank is at r9 (0 or 32).
# An update writes a bank that nobody reads and then the count, which is read again: no reader mixes two banks.
        .macro  skew
1:      mov     count(%rip), %r11d
        mov     %r11d, %edx
        and     $3, %edx
        shl     $6, %edx
        lea     banks(%rip), %r8
        add     %rdx, %r8
        add     %r9, %r8
        mov     (%r8), %rcx                     # offset
        mov     8(%r8), %r10                    # rate
        mov     16(%r8), %r8                    # anchor
        cmp     count(%rip), %r11d
        jne     1b
        mov     %rax, %r9
        sub     %r8, %rax
        imul    %r10
        shrd    $32, %rdx, %rax
        add     %r9, %rax
        add     %rcx, %rax
        jns     2f
        xor     %eax, %eax                      # no clock stands before 0
2:      xor     %edx, %edx
        mov     $SECOND, %ecx
        div     %rcx                            # rax: seconds, rdx: the rest in ns
        .endm

        .text
clock_gettime:                                  # edi: clock, rsi: timespec
        mov     $SYS_CLOCK_GETTIME, %eax
        syscall
        test    %eax, %eax
        jnz     3f
        cmp     $11, %edi
        ja      3f
        xor     %r9d, %r9d
        mov     $REALTIME, %ecx
        bt      %edi, %ecx
        jc      4f
        mov     $MONOTONIC, %ecx
        bt      %edi, %ecx
        jnc     3f
        mov     $32, %r9d
4:      imul    $SECOND, (%rsi), %rax
        add     8(%rsi), %rax
        skew
        mov     %rax, (%rsi)
        mov     %rdx, 8(%rsi)
        xor     %eax, %eax
3:      ret

        .p2align 4
gettimeofday:                                   # rdi: timeval or null, rsi: timezone or null
        mov     $SYS_GETTIMEOFDAY, %eax
        syscall
        test    %eax, %eax
        jnz     3f
        test    %rdi, %rdi
        jz      3f
        xor     %r9d, %r9d
        imul    $SECOND, (%rdi), %rax
        imul    $1000, 8(%rdi), %rdx
        add     %rdx, %rax
        skew
        mov     %rax, (%rdi)
        mov     %edx, %eax
        xor     %edx, %edx
        mov     $1000, %ecx
        div     %ecx
        mov     %rax, 8(%rdi)
        xor     %eax, %eax
3:      ret

        .p2align 4
time:                                           # rdi: where to put the seconds too, or null
        mov     %rdi, %r9
        xor     %edi, %edi
        lea     -16(%rsp), %rsi
        mov     $SYS_CLOCK_GETTIME, %eax
        syscall
        mov     %r9, %rdi
        xor     %r9d, %r9d
        imul    $SECOND, (%rsi), %rax
        add     8(%rsi), %rax
        skew
        test    %rdi, %rdi
        jz      3f
        mov     %rax, (%rdi)
3:      ret

        .p2align 6
count:  .skip   64                              # updates so far, 32 bits
banks:  .skip   256                             # 4 of 64 bytes: offset, rate, anchor, 0; then the same for monotonic

# A thread that was stopped anywhere calls a clock function, shows the result, and goes on where it was. Its place is on
# the stack, below the 128 bytes that it may use without a push. Who asked looks when getpid is called; where nobody
# asks any more, killed meanwhile, the thread finds back by itself.
probe:  pushfq
        push    %rax
        push    %rcx
        push    %rdx
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %rbp
        mov     %rsp, %rbp
        and     $-16, %rsp
        sub     $16, %rsp
        mov     %rsp, %rsi
        mov     which(%rip), %edi
        call    *function(%rip)
        mov     %eax, %edi                      # shown: what it returned, and where the timespec is
        mov     %rsp, %rsi
        mov     $SYS_GETPID, %eax
        syscall
        mov     %rbp, %rsp
        pop     %rbp
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rdx
        pop     %rcx
        pop     %rax
        popfq
        ret     $128
        .p2align 3
which:  .skip   8                               # the clock
function: .skip 8                               # the address of clock_gettime
